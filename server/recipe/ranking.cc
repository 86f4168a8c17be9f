#include <algorithm>
#include <map>

#include "server/recipe/recipe.h"

namespace stockpot {

int CompareScores(Metric metric, const Score& a, const Score& b) {
  auto compare = [](auto x, auto y) { return x < y ? -1 : (y < x ? 1 : 0); };
  switch (metric) {
    case Metric::kTop1:
      return compare(a.top1_correct, b.top1_correct);
    case Metric::kTop5:
      return compare(a.top5_correct, b.top5_correct);
    case Metric::kCrossEntropy:
      return compare(b.cross_entropy_sum, a.cross_entropy_sum);
  }
  return 0;
}

std::vector<int> RankIngredients(const RecipeOptions& options, const HeldOutScores& scores,
                                 std::vector<Blend>* missing) {
  std::map<int, Score> known;
  for (int ingredient : options.ingredients) {
    Blend single{{ingredient}, {}};
    if (std::optional<Score> score = scores.Find(single)) {
      known[ingredient] = *score;
    } else {
      missing->push_back(std::move(single));
    }
  }
  if (!missing->empty()) return {};
  std::vector<int> order = options.ingredients;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return CompareScores(options.metric, known[a], known[b]) > 0;
  });
  return order;
}

}  // namespace stockpot
