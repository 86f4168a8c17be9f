#include "server/worker/evaluation/output_mapping.h"

#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/evaluation/torch_tensor.h"

namespace stockpot {
namespace {

absl::Status CheckSubset(const std::vector<int32_t>& subset) {
  std::set<int32_t> seen;
  for (size_t j = 0; j < subset.size(); ++j) {
    const bool repeated = !seen.insert(subset[j]).second;
    if (subset[j] >= 0 && !repeated) continue;
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          "class_subset[", j, "] is ", subset[j],
                          repeated ? ", which comes twice" : ": logits are numbered from 0")),
                      "DATA_SET_INVALID");
  }
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> ReadFloats(const StateDict& tensors, size_t index, c10::Device device) {
  ASSIGN_OR_RETURN(const at::Tensor stored, ToDevice(tensors, index, device));
  return stored.to(torch::kFloat32);
}

absl::Status MappingMismatch(const at::Tensor& outputs, absl::string_view expected) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat(
          "the model gives [", absl::StrJoin(outputs.sizes(), ", "), "], but ", expected)),
      "MODEL_OUTPUT_MISMATCH");
}

}  // namespace

absl::StatusOr<OutputMapping> OutputMapping::Create(const OutputOptions& options,
                                                    c10::Device device) {
  OutputMapping mapping;
  if (!options.class_subset.empty()) {
    RETURN_IF_ERROR(CheckSubset(options.class_subset));
    const std::vector<int64_t> indices(options.class_subset.begin(), options.class_subset.end());
    mapping.class_subset = torch::tensor(indices, torch::kInt64).to(device);
    mapping.largest_index = *std::max_element(indices.begin(), indices.end());
  }
  if (options.classifier.has_value()) {
    const LinearClassifier& head = *options.classifier;
    ASSIGN_OR_RETURN(mapping.weight, ReadFloats(*head.tensors, head.weight, device));
    if (head.bias.has_value()) {
      ASSIGN_OR_RETURN(mapping.bias, ReadFloats(*head.tensors, *head.bias, device));
    }
    mapping.normalize_features = head.normalize_features;
    mapping.scale = head.scale;
  }
  return mapping;
}

absl::StatusOr<at::Tensor> ToLogits(const at::Tensor& outputs, const OutputMapping& mapping) {
  at::Tensor logits = outputs.to(torch::kFloat32);
  const int64_t last = logits.dim() == 0 ? 0 : logits.size(-1);
  if (mapping.weight.defined()) {
    if (last != mapping.weight.size(1)) {
      return MappingMismatch(outputs, absl::StrCat("the classifier takes ", mapping.weight.size(1),
                                                   " features of each example"));
    }
    if (mapping.normalize_features) logits = logits / logits.norm(2, -1, /*keepdim=*/true);
    if (mapping.scale != 1) logits = logits * mapping.scale;
    logits = at::linear(logits, mapping.weight, mapping.bias);
  }
  if (mapping.class_subset.defined()) {
    if (logits.dim() == 0 || mapping.largest_index >= logits.size(-1)) {
      return MappingMismatch(logits, absl::StrCat("class_subset names logit ",
                                                  mapping.largest_index, ", counted from 0"));
    }
    logits = logits.index_select(-1, mapping.class_subset);
  }
  return logits;
}

}  // namespace stockpot
