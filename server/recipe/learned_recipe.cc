#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/recipe_parts.h"

namespace stockpot {
namespace {

// The paper's appendix I. An epoch is asked for when the one before it is known.
class LearnedRecipe final : public Recipe {
 public:
  explicit LearnedRecipe(RecipeOptions options) : options_(std::move(options)) {}

  std::string version() const override { return "learned/1"; }

  std::vector<std::string> choices() const override {
    const LearnSpec& learn = options_.recipe.learn;
    return {absl::StrCat("coefficients=", learn.per_tensor ? "PER_TENSOR" : "GLOBAL"),
            absl::StrCat("constraint=", learn.constraint),
            absl::StrCat("epochs=", learn.epochs),
            absl::StrCat("batch_size=", learn.batch_size),
            absl::StrCat("learning_rate=", learn.learning_rate),
            absl::StrCat("weight_decay=", learn.weight_decay),
            absl::StrCat("seed=", learn.seed),
            absl::StrCat("temperature=", learn.fixed_temperature ? "FIXED" : "LEARNED")};
  }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    const LearnSpec& learn = options_.recipe.learn;
    RankIngredients(options_, options_.max_evaluations - 1 - learn.epochs, scores, &decision);
    decision.required = decision.wanted.size();
    decision.untried = static_cast<int>(options_.ingredients.size() - decision.considered.size());
    if (!decision.wanted.empty()) return decision;
    // As the uniform soup, it does not depend on how many of its parts were measured.
    const std::vector<int> ingredients = AllIngredients(options_, decision.order);
    if (ingredients.size() == 1) {  // nothing to mix
      decision.soup = Blend{ingredients, {}};
      decision.done = true;
      return decision;
    }
    for (int epoch = 0; epoch < learn.epochs; ++epoch) {
      const LearnEpoch wanted{ingredients, epoch};
      std::optional<LearnedCoefficients> learned = scores.FindLearned(learn, wanted);
      if (!learned.has_value()) {
        decision.learn = wanted;
        return decision;
      }
      decision.epochs.push_back(*std::move(learned));
      ++decision.evaluations;
    }
    Blend soup = MakeSoup(options_, ingredients, decision.epochs.back().coefficients);
    if (!scores.Find(soup).has_value()) {
      decision.wanted.push_back(std::move(soup));
      decision.required = 1;
      return decision;
    }
    ++decision.evaluations;
    decision.soup = std::move(soup);
    decision.done = true;
    return decision;
  }

 private:
  const RecipeOptions options_;
};

}  // namespace

std::unique_ptr<Recipe> MakeLearnedRecipe(RecipeOptions options) {
  return std::make_unique<LearnedRecipe>(std::move(options));
}

}  // namespace stockpot
