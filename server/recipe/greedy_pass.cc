#include <algorithm>
#include <random>
#include <utility>

#include "server/recipe/recipe_parts.h"

namespace stockpot {
namespace {

class Pass {
 public:
  Pass(const RecipeOptions& options, const std::vector<int>& order, int64_t most, bool ensemble,
       const HeldOutScores& scores)
      : options_(options), order_(order), most_(most), ensemble_(ensemble), scores_(scores) {}

  GreedyPass Run() {
    const Blend first{{order_.front()}, {}};
    const std::optional<Score> score = scores_.Find(first);
    if (!score.has_value()) {
      pass_.wanted.push_back(first);
      return std::move(pass_);
    }
    pass_.soup = first;
    pass_.score = *score;
    pass_.steps.push_back({order_.front(), true, *score, 1});
    for (size_t i = 1; i < order_.size() && pass_.wanted.empty(); ++i) {
      if (GroupIsIn(order_[i])) {
        pass_.steps.push_back({order_[i], false, {}, Size(), true});
      } else if (pass_.evaluations < most_) {
        Try(i);
      } else {
        break;
      }
    }
    return std::move(pass_);
  }

 private:
  bool strict() const { return options_.recipe.acceptance == Acceptance::kStrictImprovement; }

  // Logits of an ensemble are at hand: it takes no pass that could end early.
  std::optional<Bar> CurrentBar() const {
    if (ensemble_ || options_.full_scores) return std::nullopt;
    return Bar{pass_.soup, pass_.score, !strict()};
  }

  std::optional<Trial> Find(const Blend& candidate) const {
    if (const std::optional<Bar> bar = CurrentBar()) return scores_.FindTrial(candidate, *bar);
    const std::optional<Score> score = scores_.Find(candidate);
    if (!score.has_value()) return std::nullopt;
    return Trial{score};
  }

  bool IsAccepted(const Trial& trial) const {
    if (!trial.score.has_value()) return false;
    return ClearsBar(options_.metric, DecidingNumber(options_.metric, *trial.score),
                     DecidingNumber(options_.metric, pass_.score), !strict());
  }

  void Try(size_t position) {
    Blend with = With(order_[position]);
    const std::optional<Trial> trial = Find(with);
    if (!trial.has_value()) return WantFrom(position);
    ++pass_.evaluations;
    RecipeStep step{order_[position], IsAccepted(*trial), {}, 0};
    // A rejected one's score may be known by chance: what is told must not depend on that.
    if (step.accepted || !CurrentBar().has_value()) {
      step.score = trial->score;
    } else {
      step.not_better_than = pass_.score;
    }
    if (step.accepted) {
      pass_.soup = std::move(with);
      pass_.score = *trial->score;
    }
    step.soup_size = Size();
    pass_.steps.push_back(step);
  }

  // The candidate at `position`, and the next ones as if the earlier were rejected.
  void WantFrom(size_t position) {
    int64_t left = std::min<int64_t>(std::max(1, options_.speculation), most_ - pass_.evaluations);
    pass_.bar = CurrentBar();
    for (size_t i = position; i < order_.size() && left > 0; ++i) {
      if (GroupIsIn(order_[i])) continue;
      Blend with = With(order_[i]);
      if (!Find(with).has_value()) pass_.wanted.push_back(std::move(with));
      --left;
    }
  }

  Blend With(int candidate) const {
    std::vector<int> ingredients = pass_.soup.ingredients;
    ingredients.push_back(candidate);
    if (ensemble_) return Blend{std::move(ingredients), {}, /*ensemble=*/true};
    return MakeSoup(options_, std::move(ingredients));
  }

  int Size() const { return static_cast<int>(pass_.soup.ingredients.size()); }

  bool GroupIsIn(int candidate) const {
    if (options_.groups.empty()) return false;
    const int group = options_.groups[static_cast<size_t>(candidate)];
    return group != 0 &&
           std::any_of(pass_.soup.ingredients.begin(), pass_.soup.ingredients.end(),
                       [&](int ingredient) {
                         return options_.groups[static_cast<size_t>(ingredient)] == group;
                       });
  }

  const RecipeOptions& options_;
  const std::vector<int>& order_;
  const int64_t most_;
  const bool ensemble_;
  const HeldOutScores& scores_;
  GreedyPass pass_;
};

}  // namespace

GreedyPass RunGreedyPass(const RecipeOptions& options, const std::vector<int>& order, int64_t most,
                         bool ensemble, const HeldOutScores& scores) {
  return Pass(options, order, most, ensemble, scores).Run();
}

std::vector<int> ShuffledOrder(std::vector<int> order, uint64_t seed, int repeat) {
  std::seed_seq words{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
                      static_cast<uint32_t>(repeat)};
  std::mt19937_64 random(words);
  for (size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[random() % left]);
  }
  return order;
}

}  // namespace stockpot
