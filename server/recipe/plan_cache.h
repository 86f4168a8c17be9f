// What a plan has worked out once and for all: keys, and facts as they were read. It never says
// what is known: the ledger does. Internal to recipe/: see plan.h.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_RECIPE_PLAN_CACHE_H_
#define STOCKPOT_SERVER_RECIPE_PLAN_CACHE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "server/recipe/plan.h"

namespace stockpot {

// An ingredient as its inspection found it, judged against the architecture and those before it.
struct InspectedIngredient {
  CheckpointFound found;  // tensors are kept for the first usable one only
  absl::Status problem;   // why it cannot be used
  int identical_to = -1;  // an earlier ingredient with the same weights
};

class PlanCache {
 public:
  PlanCache(const JobSpec& spec, const std::string& scope);

  // The inspections: the architecture's, the data sets', then the ingredients', in spec order, then
  // the base's, that of the data set for BatchNorm and the classifiers', as far as there are.
  const std::vector<Task>& inspections() const { return inspections_; }
  const Task* base_inspection() const { return base_ < 0 ? nullptr : &inspections_[size_t(base_)]; }
  const Task* batch_norm_inspection() const {
    return batch_norm_ < 0 ? nullptr : &inspections_[size_t(batch_norm_)];
  }
  // Null: the data set has none.
  const Task* classifier_inspection(size_t data_set) const {
    const int position = classifiers_[data_set];
    return position < 0 ? nullptr : &inspections_[size_t(position)];
  }
  const Task& ingredient_inspection(size_t index) const {
    return inspections_[1 + spec_.data_sets.size() + index];
  }

  const Task& end_budget() const { return end_budget_; }

  const absl::StatusOr<ArchitectureFound>& Architecture(const Fact& fact);
  const absl::StatusOr<DataSetFound>& DataSet(size_t index, const Fact& fact);
  const absl::StatusOr<CheckpointFound>& Base(const Fact& fact);
  const absl::StatusOr<DataSetFound>& BatchNormSet(const Fact& fact);
  const absl::StatusOr<ClassifierFound>& Classifier(size_t data_set, const Fact& fact);
  // All before it must have been read, and the architecture.
  const InspectedIngredient& Ingredient(size_t index, const Fact& fact);
  // Those that were read so far.
  const std::vector<InspectedIngredient>& ingredients() const { return ingredients_; }
  // Whether any of them is merged into the base.
  bool has_adapters() const { return has_adapters_; }

  // A key under a name of its own for it: made once.
  template <typename MakeKey>
  const std::string& Key(const std::string& name, MakeKey make_key) {
    auto found = keys_.find(name);
    if (found == keys_.end()) found = keys_.emplace(name, make_key()).first;
    return found->second;
  }
  // An epoch's result, read once.
  const absl::StatusOr<LearnedCoefficients>& Learned(const Fact& fact, size_t ingredient_count);

  struct Measure {
    std::string key;
    int batch_size = 0;
    std::optional<absl::StatusOr<Score>> score;
  };
  // The cached measure of a blend on a data set, at the job's batch size or at half of it;
  // `make_key` is called when it is new. Stays where it is.
  template <typename MakeKey>
  Measure& FindMeasure(int data_set, const Blend& blend, bool half, MakeKey make_key) {
    auto& of_data_set = (half ? halves_ : measures_)[static_cast<size_t>(data_set)];
    auto found = of_data_set.find(blend);
    if (found == of_data_set.end()) {
      const int batch_size = half ? spec_.batch_size / 2 : spec_.batch_size;
      found = of_data_set.emplace(blend, Measure{make_key(), batch_size, std::nullopt}).first;
    }
    return found->second;
  }

 private:
  const JobSpec& spec_;
  std::vector<Task> inspections_;
  int base_ = -1, batch_norm_ = -1;
  std::vector<int> classifiers_;  // by data set
  std::optional<absl::StatusOr<CheckpointFound>> found_base_;
  std::optional<absl::StatusOr<DataSetFound>> batch_norm_set_;
  std::vector<std::optional<absl::StatusOr<ClassifierFound>>> found_classifiers_;
  absl::node_hash_map<std::string, std::string> keys_;
  absl::node_hash_map<std::string, absl::StatusOr<LearnedCoefficients>> learned_;  // by key
  const Task end_budget_;
  std::optional<absl::StatusOr<ArchitectureFound>> architecture_;
  std::vector<std::optional<absl::StatusOr<DataSetFound>>> data_sets_;
  std::vector<InspectedIngredient> ingredients_;  // the first ones, as far as read
  bool has_adapters_ = false;
  absl::flat_hash_map<std::string, int> first_with_digest_;
  int first_usable_ = -1;
  std::vector<absl::node_hash_map<Blend, Measure>> measures_, halves_;  // by data set
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PLAN_CACHE_H_
