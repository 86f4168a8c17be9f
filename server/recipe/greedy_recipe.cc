#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/recipe_parts.h"

namespace stockpot {
namespace {

// The greedy soup, and the greedy logit ensemble.
class GreedyRecipe final : public Recipe {
 public:
  explicit GreedyRecipe(RecipeOptions options)
      : options_(std::move(options)),
        ensemble_(options_.recipe.kind == RecipeKind::kGreedyLogitEnsemble) {}

  std::string version() const override {
    return ensemble_ ? "greedy_logit_ensemble/1" : "greedy/1";
  }

  std::vector<std::string> choices() const override {
    const RecipeSpec& recipe = options_.recipe;
    std::vector<std::string> choices = {
        absl::StrCat("order=", CandidateOrderName(recipe.order)), "ties=INGREDIENT_ORDER",
        absl::StrCat("acceptance=", AcceptanceName(recipe.acceptance))};
    if (recipe.order == CandidateOrder::kRandom) {
      choices.push_back(absl::StrCat("seed=", recipe.seed));
      choices.push_back(absl::StrCat("repeats=", recipe.repeats));
    }
    if (recipe.ensemble_ranking != EnsembleRanking::kNone) {
      choices.push_back(
          absl::StrCat("ensemble_ranking=", EnsembleRankingName(recipe.ensemble_ranking)));
    }
    return choices;
  }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision;
    RankIngredients(options_, options_.max_evaluations, scores, &decision);
    decision.required = decision.wanted.size();
    if (!decision.wanted.empty()) return decision;
    std::vector<int> order = decision.order;
    if (options_.recipe.ensemble_ranking != EnsembleRanking::kNone &&
        !RankByEnsemble(scores, &order, &decision)) {
      return decision;
    }
    const int repeats =
        options_.recipe.order == CandidateOrder::kRandom ? options_.recipe.repeats : 1;
    for (int repeat = 0; repeat < repeats; ++repeat) {
      if (!FollowOrder(OrderOf(order, decision, repeat), scores, &decision)) return decision;
    }
    Take(&decision);
    return decision;
  }

 private:
  // RADIN: a greedy logit ensemble says what is worth trying. False: its scores are wanted.
  bool RankByEnsemble(const HeldOutScores& scores, std::vector<int>* order,
                      Decision* decision) const {
    GreedyPass pass = RunGreedyPass(options_, *order, kNoBudget, /*ensemble=*/true, scores);
    if (!pass.wanted.empty()) {
      decision->wanted = std::move(pass.wanted);
      decision->required = 1;
      return false;
    }
    std::vector<int> ranked = pass.soup.ingredients;
    if (options_.recipe.ensemble_ranking == EnsembleRanking::kOrder) {
      for (const int ingredient : *order) {
        if (std::find(ranked.begin(), ranked.end(), ingredient) == ranked.end()) {
          ranked.push_back(ingredient);
        }
      }
    }
    *order = std::move(ranked);
    return true;
  }

  std::vector<int> OrderOf(const std::vector<int>& ranked, const Decision& decision,
                           int repeat) const {
    switch (options_.recipe.order) {
      case CandidateOrder::kBestFirst:
        return ranked;
      case CandidateOrder::kAsGiven:
        return decision.considered;
      case CandidateOrder::kRandom:
        return ShuffledOrder(decision.considered, options_.recipe.seed, repeat);
    }
    return ranked;
  }

  // False: scores are wanted. One order after the other: where a budget ends must not depend on
  // which of them is quicker.
  bool FollowOrder(const std::vector<int>& order, const HeldOutScores& scores,
                   Decision* decision) const {
    const int64_t left =
        ensemble_ ? kNoBudget - 1
                  : std::max<int64_t>(0, options_.max_evaluations - decision->evaluations);
    GreedyPass pass = RunGreedyPass(options_, order, left, ensemble_, scores);
    if (!ensemble_) decision->evaluations += pass.evaluations;
    const int64_t tried = pass.wanted.empty() ? static_cast<int64_t>(pass.steps.size()) : 1 + left;
    const auto size = static_cast<int64_t>(order.size());
    decision->untried =
        static_cast<int>(options_.ingredients.size() - decision->considered.size()) +
        static_cast<int>(size - std::min(size, tried));
    decision->steps = pass.steps;
    if (!pass.wanted.empty()) {
      decision->wanted = std::move(pass.wanted);
      decision->required = 1;
      decision->bar = std::move(pass.bar);
      return false;
    }
    decision->orders.push_back({order, std::move(pass.steps), std::move(pass.soup), pass.score});
    return true;
  }

  void Take(Decision* decision) const {
    for (size_t i = 1; i < decision->orders.size(); ++i) {
      const Score& best = decision->orders[static_cast<size_t>(decision->taken)].score;
      if (CompareScores(options_.metric, decision->orders[i].score, best) > 0) {
        decision->taken = static_cast<int>(i);
      }
    }
    const OrderResult& taken = decision->orders[static_cast<size_t>(decision->taken)];
    decision->steps = taken.steps;
    decision->soup = taken.soup;
    decision->done = true;
  }

  const RecipeOptions options_;
  const bool ensemble_;
};

}  // namespace

std::unique_ptr<Recipe> MakeGreedyRecipe(RecipeOptions options) {
  return std::make_unique<GreedyRecipe>(std::move(options));
}

}  // namespace stockpot
