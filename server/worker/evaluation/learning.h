// One epoch of the learned soup: mixing coefficients and an inverse temperature, moved down the
// gradient of the loss on a data set. No torch type here.
//
// Source: Wortsman et al. 2022, appendix I. With θ = Σ α_i θ_i, tensor by tensor,
// dL/dα_i,t = <dL/dθ_t, θ_i,t>: one forward() and backward() on the blend's own parameters, then
// inner products while the ingredients stream past. So memory holds one model and its gradient,
// however many ingredients there are.
//
// A step: examples in the order of example_order.h, so many at a time; the last step of an epoch
// may have fewer. Weights are blended in float32 (float64 where stored so). The loss is made in
// float64 and is the mean over the step's examples: cross-entropy of β · logits; of a language
// model the mean over the tokens that count, and no step where there is none; of regression the
// mean squared error, and no temperature. Buffers are blended too but have no gradient; in
// per-tensor learning the coefficients of what has no gradient (buffers, integers, fixed tensors)
// stay as they began. The model is in eval mode. The result does not depend on the number of
// threads. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/output_options.h"
#include "server/worker/soup/coefficient_learner.h"

namespace stockpot {

struct LearningOptions {
  std::vector<InputBinding> inputs;
  OutputOptions outputs;
  int batch_size = 250;  // examples of a step
  bool per_tensor = false;
  CoefficientLearner::Constraint constraint = CoefficientLearner::Constraint::kSoftmax;
  double learning_rate = 0.05;
  double weight_decay = 0;
  bool fixed_temperature = false;
  uint64_t seed = 0;
  int64_t epoch = 0;
  std::string state;  // LearnedEpoch::state of the epoch before; empty for the first
  // Called after each step with the examples done; a non-OK result ends the work with it.
  std::function<absl::Status(int64_t examples_done)> progress;
};

struct LearnedEpoch {
  std::string state;                 // as CoefficientLearner::State
  std::vector<double> coefficients;  // k, or k × tensors of the ingredients
  double temperature = 1;            // 1 / β
  double mean_loss = 0;              // over the steps, each before it was taken
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_H_
