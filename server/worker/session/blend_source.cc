#include "server/worker/session/blend_source.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/session/task_messages.h"
#include "server/worker/soup/blend_coefficients.h"

namespace stockpot {
namespace {

using Ingredients = std::vector<std::shared_ptr<const StateDict>>;

// One for each ingredient and tensor, in the order of `after`; those of tensors that `before` lacks
// do not matter. `after` has all of `before`.
std::vector<double> Reordered(const std::vector<double>& coefficients, size_t ingredient_count,
                              const std::vector<TensorInfo>& before,
                              const std::vector<TensorInfo>& after) {
  if (coefficients.size() <= ingredient_count) return coefficients;
  std::vector<double> reordered(ingredient_count * after.size(), 0.0);
  for (size_t t = 0; t < before.size(); ++t) {
    const size_t index = *FindTensor(after, before[t].name);
    for (size_t k = 0; k < ingredient_count; ++k) {
      reordered[k * after.size() + index] = coefficients[k * before.size() + t];
    }
  }
  return reordered;
}

}  // namespace

absl::StatusOr<TensorSelection> OpenSelection(const worker::v1::TensorSelection& selection,
                                              Sources* sources, const Progress& progress) {
  TensorSelection opened;
  opened.excluded = {selection.excluded().begin(), selection.excluded().end()};
  opened.from_base = {selection.from_base().begin(), selection.from_base().end()};
  if (!opened.from_base.empty() && selection.has_base()) {
    ASSIGN_OR_RETURN(const Sources::Checkpoint base,
                     sources->OpenCheckpoint(selection.base(), selection.reading(), progress));
    opened.base = base.state_dict;
  }
  const absl::Status checked = CheckSelection(opened);
  if (checked.ok()) return opened;
  return selection.has_base()
             ? Annotate(checked, absl::StrCat("checkpoint ", selection.base().uri()))
             : checked;
}

absl::StatusOr<Ingredients> OpenIngredients(
    const google::protobuf::RepeatedPtrField<worker::v1::CheckpointReference>& references,
    const TensorSelection& selection, const worker::v1::CheckpointReading& reading,
    Sources* sources, const Progress& progress) {
  if (references.empty()) return absl::InvalidArgumentError("a blend of no ingredients");
  Ingredients ingredients;
  for (const worker::v1::CheckpointReference& reference : references) {
    ASSIGN_OR_RETURN(const Sources::Checkpoint checkpoint,
                     sources->OpenCheckpoint(reference, reading, progress));
    ingredients.push_back(sources->Select(checkpoint.state_dict, selection));
    RETURN_IF_ERROR(
        Annotate(CheckCompatible(ingredients.front()->tensors(), ingredients.back()->tensors()),
                 absl::StrCat("checkpoint ", reference.uri())));
  }
  return ingredients;
}

absl::StatusOr<BlendSource> OpenBlend(const worker::v1::Blend& blend, Sources* sources,
                                      const Progress& progress) {
  BlendSource source;
  ASSIGN_OR_RETURN(source.dtype, ToDType(blend.dtype()));
  ASSIGN_OR_RETURN(source.selection, OpenSelection(blend.selection(), sources, progress));
  ASSIGN_OR_RETURN(source.ingredients,
                   OpenIngredients(blend.ingredients(), source.selection,
                                   blend.selection().reading(), sources, progress));
  source.coefficients = {blend.coefficients().begin(), blend.coefficients().end()};
  RETURN_IF_ERROR(CheckCoefficients(source.coefficients.size(), source.ingredients.size(),
                                    source.ingredients[0]->tensors().size()));
  return source;
}

BlendSource WithTensors(BlendSource blend, std::vector<TensorValue> tensors) {
  if (tensors.empty()) return blend;
  const std::shared_ptr<const StateDict> over = MakeStateDict(std::move(tensors));
  const std::shared_ptr<const StateDict> first = blend.ingredients[0];
  for (auto& ingredient : blend.ingredients) ingredient = OverlayTensors(ingredient, over);
  blend.coefficients = Reordered(blend.coefficients, blend.ingredients.size(), first->tensors(),
                                 blend.ingredients[0]->tensors());
  return blend;
}

}  // namespace stockpot
