#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/recipe.h"

namespace stockpot {
namespace {

class GreedyRecipe final : public Recipe {
 public:
  explicit GreedyRecipe(RecipeOptions options) : options_(std::move(options)) {}

  std::string version() const override { return "greedy/1"; }

  std::vector<std::string> choices() const override {
    return {"order=BEST_FIRST", "ties=INGREDIENT_ORDER",
            absl::StrCat("acceptance=", AcceptanceName(options_.acceptance))};
  }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    RankIngredients(options_, options_.max_evaluations, scores, &decision);
    decision.required = decision.wanted.size();
    if (!decision.wanted.empty()) return decision;

    Blend soup{{decision.order.front()}, {}};
    Score best = *scores.Find(soup);
    decision.steps.push_back({decision.order.front(), true, best, 1});
    const size_t end = EndOfBudget(decision);
    decision.untried = static_cast<int>(options_.ingredients.size() - end);
    for (size_t i = 1; i < end; ++i) {
      const int candidate = decision.order[i];
      Blend with = With(soup, candidate);
      const std::optional<Score> score = scores.Find(with);
      if (!score.has_value()) {
        WantFrom(i, end, soup, scores, &decision);
        return decision;
      }
      const bool accepted = Accepts(*score, best);
      if (accepted) {
        soup = std::move(with);
        best = *score;
      }
      decision.steps.push_back(
          {candidate, accepted, *score, static_cast<int>(soup.ingredients.size())});
      ++decision.evaluations;
    }
    decision.done = true;
    decision.soup = std::move(soup);
    return decision;
  }

 private:
  static Blend With(const Blend& soup, int candidate) {
    Blend with = soup;
    with.ingredients.push_back(candidate);
    return with;
  }

  bool Accepts(const Score& score, const Score& best) const {
    const int comparison = CompareScores(options_.metric, score, best);
    return options_.acceptance == Acceptance::kStrictImprovement ? comparison > 0 : comparison >= 0;
  }

  // Where in the order the budget ends: ranking took a pass for each, every later candidate takes
  // one.
  size_t EndOfBudget(const Decision& ranked) const {
    const int64_t left = options_.max_evaluations - ranked.evaluations;
    const auto size = static_cast<int64_t>(ranked.order.size());
    return static_cast<size_t>(std::min(size, 1 + std::max<int64_t>(0, std::min(left, size))));
  }

  // The candidate at `position`, and the next ones as if the earlier were rejected.
  void WantFrom(size_t position, size_t budget_end, const Blend& soup, const HeldOutScores& scores,
                Decision* decision) const {
    const size_t most = std::max(1, options_.speculation);
    const size_t end = std::min(budget_end, position + most);
    for (size_t i = position; i < end; ++i) {
      Blend with = With(soup, decision->order[i]);
      if (!scores.Find(with).has_value()) decision->wanted.push_back(std::move(with));
    }
    decision->required = 1;
  }

  const RecipeOptions options_;
};

}  // namespace

std::unique_ptr<Recipe> MakeGreedyRecipe(RecipeOptions options) {
  return std::make_unique<GreedyRecipe>(std::move(options));
}

}  // namespace stockpot
