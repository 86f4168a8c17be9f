#include <utility>

#include "server/recipe/recipe.h"

namespace stockpot {
namespace {

class UniformRecipe final : public Recipe {
 public:
  explicit UniformRecipe(RecipeOptions options) : options_(std::move(options)) {}

  std::string version() const override { return "uniform/1"; }
  std::vector<std::string> choices() const override { return {}; }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    Blend all{options_.ingredients, {}};
    // The soup itself is measured too, and does not depend on how many of its parts were.
    RankIngredients(options_, options_.max_evaluations - 1, scores, &decision);
    if (!scores.Find(all).has_value() && all.ingredients.size() > 1) {
      decision.wanted.push_back(all);
    } else if (decision.wanted.empty()) {
      ++decision.evaluations;
    }
    decision.required = decision.wanted.size();
    decision.done = decision.wanted.empty();
    decision.untried = static_cast<int>(options_.ingredients.size() - decision.considered.size());
    if (decision.done) decision.soup = std::move(all);
    return decision;
  }

 private:
  const RecipeOptions options_;
};

}  // namespace

std::unique_ptr<Recipe> MakeUniformRecipe(RecipeOptions options) {
  return std::make_unique<UniformRecipe>(std::move(options));
}

}  // namespace stockpot
