#include "server/recipe/plan_cache.h"

#include <utility>

namespace stockpot {
namespace {

template <typename Found>
const absl::StatusOr<Found>& ReadOnce(const Fact& fact, absl::StatusOr<Found> (*read)(const Fact&),
                                      std::optional<absl::StatusOr<Found>>* found) {
  if (!found->has_value()) *found = read(fact);
  return **found;
}

}  // namespace

PlanCache::PlanCache(const JobSpec& spec, const std::string& scope)
    : spec_(spec),
      classifiers_(spec.data_sets.size(), -1),
      found_classifiers_(spec.data_sets.size()),
      end_budget_(EndBudgetTask(scope)),
      data_sets_(spec.data_sets.size()),
      measures_(spec.data_sets.size()),
      halves_(spec.data_sets.size()) {
  inspections_.push_back(InspectArchitectureTask(scope, spec.architecture_uri));
  for (const DataSetSpec& data_set : spec.data_sets) {
    inspections_.push_back(InspectDataSetTask(scope, data_set));
  }
  CheckpointReadingSpec reading{spec.state_dict_key, spec.tensor_renames, {}};
  const CheckpointReadingSpec base_reading = reading;
  reading.adapter_base.uri = spec.base_uri;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    inspections_.push_back(InspectCheckpointTask(
        scope, ingredient.uri, ingredient.uri == spec.base_uri ? base_reading : reading));
  }
  const auto add = [this](Task task) {
    inspections_.push_back(std::move(task));
    return static_cast<int>(inspections_.size()) - 1;
  };
  if (!spec.base_uri.empty()) {
    base_ = add(InspectCheckpointTask(scope, spec.base_uri, base_reading));
  }
  if (spec.batch_norm.has_value()) {
    batch_norm_ = add(InspectDataSetTask(scope, spec.batch_norm->data_set));
  }
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    const std::optional<ClassifierSpec>& classifier = spec.data_sets[i].classifier;
    if (classifier.has_value()) classifiers_[i] = add(InspectClassifierTask(scope, *classifier));
  }
}

const absl::StatusOr<ArchitectureFound>& PlanCache::Architecture(const Fact& fact) {
  return ReadOnce(fact, ReadArchitectureFound, &architecture_);
}

const absl::StatusOr<DataSetFound>& PlanCache::DataSet(size_t index, const Fact& fact) {
  return ReadOnce(fact, ReadDataSetFound, &data_sets_[index]);
}

const absl::StatusOr<CheckpointFound>& PlanCache::Base(const Fact& fact) {
  return ReadOnce(fact, ReadCheckpointFound, &found_base_);
}

const absl::StatusOr<DataSetFound>& PlanCache::BatchNormSet(const Fact& fact) {
  return ReadOnce(fact, ReadDataSetFound, &batch_norm_set_);
}

const absl::StatusOr<ClassifierFound>& PlanCache::Classifier(size_t data_set, const Fact& fact) {
  return ReadOnce(fact, ReadClassifierFound, &found_classifiers_[data_set]);
}

const absl::StatusOr<LearnedCoefficients>& PlanCache::Learned(const Fact& fact,
                                                              size_t ingredient_count) {
  auto found = learned_.find(fact.key);
  if (found == learned_.end()) {
    found = learned_.emplace(fact.key, ReadLearned(fact, ingredient_count)).first;
  }
  return found->second;
}

const InspectedIngredient& PlanCache::Ingredient(size_t index, const Fact& fact) {
  if (index < ingredients_.size()) return ingredients_[index];
  InspectedIngredient ingredient;
  absl::StatusOr<CheckpointFound> found = ReadCheckpointFound(fact);
  if (!found.ok()) {
    ingredient.problem = found.status();
  } else {
    ingredient.found = *std::move(found);
    has_adapters_ = has_adapters_ || ingredient.found.is_adapter;
    auto [same, is_first] =
        first_with_digest_.emplace(ingredient.found.digest, static_cast<int>(index));
    if (!is_first) ingredient.identical_to = same->second;
    const CheckpointFound* first =
        first_usable_ < 0 ? nullptr : &ingredients_[static_cast<size_t>(first_usable_)].found;
    if (architecture_->ok()) {
      ingredient.problem = CheckFits(ingredient.found, **architecture_, first,
                                     {spec_.excluded_tensors, spec_.tensors_from_base, {}});
    }
    if (ingredient.problem.ok() && first == nullptr) {
      first_usable_ = static_cast<int>(index);
    } else {
      // A sweep of a thousand would hold a hundred megabytes of equal names and shapes.
      ingredient.found.tensors = {};
    }
  }
  ingredients_.push_back(std::move(ingredient));
  return ingredients_.back();
}

}  // namespace stockpot
