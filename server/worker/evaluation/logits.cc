#include "server/worker/evaluation/logits.h"

#include <torch/script.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kLogits[] = "logits";

at::Tensor FirstTensor(const std::vector<c10::IValue>& values) {
  for (const c10::IValue& value : values) {
    if (value.isTensor()) return value.toTensor();
  }
  return {};
}

at::Tensor OfTuple(const c10::ivalue::Tuple& tuple) {
  std::vector<c10::IValue> elements(tuple.elements().begin(), tuple.elements().end());
  const auto& schema = tuple.type()->schema();
  if (schema != nullptr) {
    for (size_t i = 0; i < elements.size() && i < schema->arguments().size(); ++i) {
      if (schema->arguments()[i].name() == kLogits && elements[i].isTensor()) {
        return elements[i].toTensor();
      }
    }
  }
  return FirstTensor(elements);
}

at::Tensor OfDict(const c10::Dict<c10::IValue, c10::IValue>& dict) {
  std::vector<c10::IValue> values;  // in order of insertion
  for (const auto& entry : dict) {
    if (entry.key().isString() && entry.key().toStringRef() == kLogits &&
        entry.value().isTensor()) {
      return entry.value().toTensor();
    }
    values.push_back(entry.value());
  }
  return FirstTensor(values);
}

// Undefined when there is none.
at::Tensor FindTensor(const c10::IValue& output) {
  if (output.isTensor()) return output.toTensor();
  if (output.isTuple()) return OfTuple(output.toTupleRef());
  if (output.isGenericDict()) return OfDict(output.toGenericDict());
  if (output.isList()) return FirstTensor(output.toListRef().vec());
  return {};
}

absl::Status Mismatch(absl::string_view found, int64_t batch_size) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat(
          "the model gives ", found, "; expected logits: float [", batch_size, ", classes]")),
      "MODEL_OUTPUT_MISMATCH");
}

}  // namespace

absl::StatusOr<at::Tensor> FindLogits(const c10::IValue& output, int64_t batch_size) {
  const at::Tensor logits = FindTensor(output);
  if (!logits.defined()) {
    return Mismatch(absl::StrCat("no tensor but a ", output.type()->annotation_str()), batch_size);
  }
  if (logits.dim() != 2 || logits.size(0) != batch_size || logits.size(1) < 1 ||
      !logits.is_floating_point()) {
    return Mismatch(absl::StrCat(c10::toString(logits.scalar_type()), " [",
                                 absl::StrJoin(logits.sizes(), ", "), "]"),
                    batch_size);
  }
  return logits.to(torch::kCPU, torch::kFloat32).contiguous();
}

}  // namespace stockpot
