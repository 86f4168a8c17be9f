// What a model's outputs mean for one data set. No torch type here.
// Source: EvaluationPlan.Problem, DataSet.class_subset and Classifier in
// proto/stockpot/v1/spec.proto. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_OPTIONS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "server/base/problem.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// A linear head on features: logits = scale · features · weightᵀ + bias, in float32.
struct LinearClassifier {
  std::shared_ptr<const StateDict> tensors;
  size_t weight = 0;                // index of a floating-point [classes, features]
  std::optional<size_t> bias;       // index of a floating-point [classes]
  bool normalize_features = false;  // divided by their Euclidean norm first
  double scale = 1;
};

struct OutputOptions {
  Problem problem = Problem::kClassification;
  // Label j is logit class_subset[j]. Empty: all logits, in their order.
  std::vector<int32_t> class_subset;
  // The model gives features, and this makes logits of them, before the subset is taken.
  std::optional<LinearClassifier> classifier;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_OUTPUT_OPTIONS_H_
