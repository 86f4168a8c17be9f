#include "server/worker/session/weight_tasks.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/batch_norm_options.h"
#include "server/worker/evaluation/learning.h"
#include "server/worker/session/task_messages.h"
#include "server/worker/soup/blend_weights.h"
#include "server/worker/soup/inner_products.h"

namespace stockpot {
namespace {

using Constraint = CoefficientLearner::Constraint;

absl::StatusOr<Constraint> ToConstraint(v1::LearnedRecipe::Constraint constraint) {
  switch (constraint) {
    case v1::LearnedRecipe::CONSTRAINT_UNSPECIFIED:
    case v1::LearnedRecipe::SOFTMAX:
      return Constraint::kSoftmax;
    case v1::LearnedRecipe::FREE:
      return Constraint::kFree;
    case v1::LearnedRecipe::SUM_TO_ONE:
      return Constraint::kSumToOne;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown constraint ", static_cast<int>(constraint)));
  }
}

// The dtype that the blend has, or would have, the architecture's `tensor` in.
DType ShippedDType(const BlendSource& blend, const TensorInfo& tensor) {
  const std::vector<TensorInfo>& given = blend.ingredients[0]->tensors();
  const std::optional<size_t> index = FindTensor(given, tensor.name);
  return BlendDType(index.has_value() ? given[*index].dtype : tensor.dtype, blend.dtype);
}

}  // namespace

absl::StatusOr<Sources::Architecture> FindArchitecture(const worker::v1::Measure& measure,
                                                       Sources* sources, const Progress& reading) {
  ASSIGN_OR_RETURN(Sources::Architecture found,
                   sources->FindArchitecture(measure.architecture_uri(),
                                             measure.architecture_digest(), reading));
  RETURN_IF_ERROR(Annotate(CheckDigest(measure.architecture_digest(), found.digest),
                           absl::StrCat("architecture ", measure.architecture_uri())));
  return found;
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenBatchNormData(const worker::v1::Measure& measure,
                                                                 Sources* sources,
                                                                 const Progress& reading) {
  if (!measure.has_batch_norm()) return std::shared_ptr<const DataSet>();
  return sources->OpenDataSet(measure.batch_norm().data_set(),
                              measure.batch_norm().data_set_digest(), reading);
}

absl::StatusOr<BlendSource> SetBlend(BlendSource blend, const BatchNormSource& batch_norm,
                                     Runner* runner,
                                     const std::function<absl::Status(int64_t)>& progress) {
  RETURN_IF_ERROR(runner->SetWeights(blend.ingredients, blend.coefficients, blend.dtype));
  if (batch_norm.data_set == nullptr) return blend;
  BatchNormOptions options;
  options.inputs = ToInputBindings(batch_norm.measure->inputs());
  options.batch_size = batch_norm.batch_size;
  options.kept = blend.selection.excluded;
  options.kept.insert(options.kept.end(), blend.selection.from_base.begin(),
                      blend.selection.from_base.end());
  options.dtype_of = [&](const TensorInfo& tensor) { return ShippedDType(blend, tensor); };
  options.progress = progress;
  auto statistics = runner->GatherBatchNorm(*batch_norm.data_set, options);
  if (!statistics.ok()) return Annotate(statistics.status(), "BatchNorm statistics");
  blend = WithTensors(std::move(blend), *std::move(statistics));
  RETURN_IF_ERROR(runner->SetWeights(blend.ingredients, blend.coefficients, blend.dtype));
  return blend;
}

absl::StatusOr<worker::v1::CoefficientsLearned> LearnCoefficients(
    const worker::v1::LearnCoefficients& task, const BlendSource& blend, OutputOptions outputs,
    const DataSet& data_set, Runner* runner, const Progress& progress) {
  LearningOptions options;
  options.inputs = ToInputBindings(task.measure().inputs());
  options.outputs = std::move(outputs);
  options.batch_size = task.measure().batch_size();
  options.per_tensor = task.recipe().per_tensor();
  ASSIGN_OR_RETURN(options.constraint, ToConstraint(task.recipe().constraint()));
  if (task.recipe().learning_rate() != 0) options.learning_rate = task.recipe().learning_rate();
  options.weight_decay = task.recipe().weight_decay();
  options.fixed_temperature = task.recipe().fixed_temperature();
  options.seed = task.recipe().seed();
  options.epoch = task.epoch();
  options.state = task.state();
  options.progress = [&](int64_t done) { return progress(done, data_set.size()); };
  ASSIGN_OR_RETURN(LearnedEpoch learned, runner->LearnEpoch(blend.ingredients, data_set, options));
  worker::v1::CoefficientsLearned result;
  result.set_state(std::move(learned.state));
  result.mutable_coefficients()->Add(learned.coefficients.begin(), learned.coefficients.end());
  result.set_temperature(learned.temperature);
  result.set_mean_loss(learned.mean_loss);
  return result;
}

absl::StatusOr<worker::v1::WeightsCompared> CompareWeights(const worker::v1::CompareWeights& task,
                                                           Sources* sources,
                                                           const Progress& progress) {
  int64_t read = 0;
  const Progress reading = [&](int64_t done, int64_t) {
    if (done > 0) ++read;
    return progress(read, 0);
  };
  // What comes from the base does not move: as good as left out.
  TensorSelection selection;
  selection.excluded = {task.selection().excluded().begin(), task.selection().excluded().end()};
  selection.excluded.insert(selection.excluded.end(), task.selection().from_base().begin(),
                            task.selection().from_base().end());
  ASSIGN_OR_RETURN(
      const auto ingredients,
      OpenIngredients(task.ingredients(), selection, task.selection().reading(), sources, reading));
  std::shared_ptr<const StateDict> base = ingredients[0];
  if (task.has_base()) {
    ASSIGN_OR_RETURN(const Sources::Checkpoint opened,
                     sources->OpenCheckpoint(task.base(), task.selection().reading(), reading));
    base = sources->Select(opened.state_dict, selection);
    RETURN_IF_ERROR(Annotate(CheckCompatible(ingredients[0]->tensors(), base->tensors()),
                             absl::StrCat("checkpoint ", task.base().uri())));
  }
  const Progress comparing = [&](int64_t done, int64_t total) {
    return progress(read + done, read + total);
  };
  ASSIGN_OR_RETURN(const std::vector<double> products,
                   InnerProductsOfMoves(ingredients, *base, comparing));
  worker::v1::WeightsCompared result;
  result.mutable_inner_products()->Add(products.begin(), products.end());
  return result;
}

}  // namespace stockpot
