// From a model's outputs to the logits of a data set's classes, as differentiable operations.
// Internal to evaluation/.
//
// Source: DataSet.class_subset and Classifier in proto/stockpot/v1/spec.proto; features are
// normalised as CLIP does (Radford et al. 2021).
// Thread safety: immutable; ToLogits is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_MAPPING_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_MAPPING_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "absl/status/statusor.h"
#include "server/worker/evaluation/output_options.h"

namespace stockpot {

struct OutputMapping {
  // Puts the classifier and the subset onto `device`. To be called with no InferenceMode where
  // ToLogits is to be differentiated. Errors: INVALID_ARGUMENT (reason DATA_SET_INVALID) a negative
  // or repeated index; those of reading the classifier. May throw what LibTorch throws: see
  // guard.h.
  static absl::StatusOr<OutputMapping> Create(const OutputOptions& options, c10::Device device);

  at::Tensor class_subset;     // int64 [subset], undefined: all logits
  int64_t largest_index = -1;  // of class_subset
  at::Tensor weight;           // float32 [classes, features], undefined: outputs are logits
  at::Tensor bias;             // float32 [classes], undefined: none
  bool normalize_features = false;
  double scale = 1;
};

// `outputs` is floating-point, of any rank: [N, features] or [N, length, features] with a
// classifier, or a subset. Given back in float32 on the same device; outputs without a mapping are
// only converted. Errors: INVALID_ARGUMENT (reason MODEL_OUTPUT_MISMATCH) another number of
// features than the classifier takes, an index of the subset that is no logit. May throw what
// LibTorch throws.
absl::StatusOr<at::Tensor> ToLogits(const at::Tensor& outputs, const OutputMapping& mapping);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_MAPPING_H_
