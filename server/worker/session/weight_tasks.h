// What tasks do with weights, once their sources are open: blend them into a model, learn their
// coefficients, compare them.
// Source: proto/stockpot/worker/v1/worker_service.proto. Thread safety: the functions are
// thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_WEIGHT_TASKS_H_
#define STOCKPOT_SERVER_WORKER_SESSION_WEIGHT_TASKS_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/output_options.h"
#include "server/worker/session/blend_source.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// The measure's architecture, which must have the digest that it says.
absl::StatusOr<Sources::Architecture> FindArchitecture(const worker::v1::Measure& measure,
                                                       Sources* sources, const Progress& reading);

// The data set of the measure's batch_norm; null where it has none.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenBatchNormData(const worker::v1::Measure& measure,
                                                                 Sources* sources,
                                                                 const Progress& reading);

// What BatchNorm layers gather from, and how. Lives no longer than what it points to.
struct BatchNormSource {
  const DataSet* data_set = nullptr;             // null: statistics are averaged like weights
  const worker::v1::Measure* measure = nullptr;  // for its inputs
  int batch_size = 0;
};

// Gives `runner` the weights of `blend`, with statistics from `batch_norm`, rounded as the blend
// is. What is given back is what was set: to be shipped. Layers whose statistics the selection
// excludes or takes from the base keep them. `progress` is told of the examples run. Errors: of
// Runner::SetWeights and GatherBatchNorm.
absl::StatusOr<BlendSource> SetBlend(BlendSource blend, const BatchNormSource& batch_norm,
                                     Runner* runner,
                                     const std::function<absl::Status(int64_t)>& progress);

// `blend` has the ingredients of task.measure(), whose batch_norm is not used. `progress` counts
// examples. Errors: of Runner::LearnEpoch; INVALID_ARGUMENT an unknown constraint.
absl::StatusOr<worker::v1::CoefficientsLearned> LearnCoefficients(
    const worker::v1::LearnCoefficients& task, const BlendSource& blend, OutputOptions outputs,
    const DataSet& data_set, Runner* runner, const Progress& progress);

// `progress` counts tensors: read of checkpoints (of a total not yet known), then compared.
// Errors: of OpenIngredients and InnerProductsOfMoves.
absl::StatusOr<worker::v1::WeightsCompared> CompareWeights(const worker::v1::CompareWeights& task,
                                                           Sources* sources,
                                                           const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_WEIGHT_TASKS_H_
