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

std::string Expected(Problem problem, int64_t batch_size) {
  switch (problem) {
    case Problem::kRegression:
      return absl::StrCat("outputs of a regression: float [", batch_size, "] or [", batch_size,
                          ", 1]");
    case Problem::kLanguageModel:
      return absl::StrCat("logits of a language model: float [", batch_size,
                          ", length, vocabulary]");
    case Problem::kClassification:
      break;
  }
  return absl::StrCat("logits: float [", batch_size, ", classes]");
}

absl::Status OutputMismatch(absl::string_view found, absl::string_view expected) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("the model gives ", found, "; expected ", expected)),
      "MODEL_OUTPUT_MISMATCH");
}

std::string Describe(const at::Tensor& tensor) {
  return absl::StrCat(c10::toString(tensor.scalar_type()), " [",
                      absl::StrJoin(tensor.sizes(), ", "), "]");
}

bool Fits(const at::Tensor& logits, Problem problem) {
  switch (problem) {
    case Problem::kRegression:
      return logits.dim() == 1 || (logits.dim() == 2 && logits.size(1) == 1);
    case Problem::kLanguageModel:
      return logits.dim() == 3 && logits.size(1) > 0 && logits.size(2) > 0;
    case Problem::kClassification:
      return logits.dim() == 2 && logits.size(1) > 0;
  }
  return false;
}

}  // namespace

absl::StatusOr<at::Tensor> FindOutputs(const c10::IValue& output, int64_t batch_size) {
  const at::Tensor found = FindTensor(output);
  const std::string expected = absl::StrCat("a floating-point tensor [", batch_size, ", …]");
  if (!found.defined()) {
    return OutputMismatch(absl::StrCat("no tensor but a ", output.type()->annotation_str()),
                          expected);
  }
  if (found.dim() == 0 || found.size(0) != batch_size || !found.is_floating_point()) {
    return OutputMismatch(Describe(found), expected);
  }
  return found;
}

absl::StatusOr<at::Tensor> FindLogits(const c10::IValue& output, int64_t batch_size,
                                      Problem problem, const OutputMapping& mapping) {
  ASSIGN_OR_RETURN(const at::Tensor outputs, FindOutputs(output, batch_size));
  ASSIGN_OR_RETURN(const at::Tensor logits, ToLogits(outputs, mapping));
  if (!Fits(logits, problem))
    return OutputMismatch(Describe(logits), Expected(problem, batch_size));
  return problem == Problem::kRegression ? logits.reshape({batch_size, 1}) : logits;
}

}  // namespace stockpot
