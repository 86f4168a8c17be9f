#include <utility>

#include "server/recipe/recipe_parts.h"

namespace stockpot {
namespace {

// The uniform soup, and the logit ensemble.
class UniformRecipe final : public Recipe {
 public:
  explicit UniformRecipe(RecipeOptions options)
      : options_(std::move(options)),
        ensemble_(options_.recipe.kind == RecipeKind::kLogitEnsemble) {}

  std::string version() const override { return ensemble_ ? "logit_ensemble/1" : "uniform/1"; }
  std::vector<std::string> choices() const override { return {}; }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    // The soup itself is measured too, and does not depend on how many of its parts were.
    const int64_t own = ensemble_ ? 0 : 1;
    RankIngredients(options_, options_.max_evaluations - own, scores, &decision);
    decision.untried = static_cast<int>(options_.ingredients.size() - decision.considered.size());
    const bool must_wait = ensemble_ || !options_.groups.empty();
    if (decision.wanted.empty() || !must_wait) {
      Blend all = All(decision);
      if (!scores.Find(all).has_value() && all.ingredients.size() > 1) {
        decision.wanted.push_back(std::move(all));
      } else if (decision.wanted.empty()) {
        decision.evaluations += own;
        decision.soup = std::move(all);
        decision.done = true;
      }
    }
    decision.required = decision.wanted.size();
    return decision;
  }

 private:
  Blend All(const Decision& decision) const {
    if (!ensemble_) return MakeSoup(options_, AllIngredients(options_, decision.order));
    // A budget may have left some out, whose logits nobody knows.
    std::vector<int> ranked = BestOfGroups(options_, decision.order);
    const bool several = ranked.size() > 1;
    return Blend{std::move(ranked), {}, /*ensemble=*/several};
  }

  const RecipeOptions options_;
  const bool ensemble_;
};

class BestSingleRecipe final : public Recipe {
 public:
  explicit BestSingleRecipe(RecipeOptions options) : options_(std::move(options)) {}

  std::string version() const override { return "best_single/1"; }
  std::vector<std::string> choices() const override { return {}; }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    RankIngredients(options_, options_.max_evaluations, scores, &decision);
    decision.required = decision.wanted.size();
    decision.done = decision.wanted.empty();
    decision.untried = static_cast<int>(options_.ingredients.size() - decision.considered.size());
    if (decision.done) decision.soup = Blend{{decision.order.front()}, {}};
    return decision;
  }

 private:
  const RecipeOptions options_;
};

}  // namespace

std::unique_ptr<Recipe> MakeUniformRecipe(RecipeOptions options) {
  return std::make_unique<UniformRecipe>(std::move(options));
}

std::unique_ptr<Recipe> MakeBestSingleRecipe(RecipeOptions options) {
  return std::make_unique<BestSingleRecipe>(std::move(options));
}

}  // namespace stockpot
