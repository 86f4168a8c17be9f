#include <algorithm>
#include <map>

#include "server/recipe/recipe.h"

namespace stockpot {

void RankIngredients(const RecipeOptions& options, int64_t most, const HeldOutScores& scores,
                     Decision* decision) {
  const size_t count = static_cast<size_t>(
      std::clamp<int64_t>(most, 1, static_cast<int64_t>(options.ingredients.size())));
  decision->considered.assign(options.ingredients.begin(),
                              options.ingredients.begin() + static_cast<std::ptrdiff_t>(count));
  std::map<int, Score> known;
  for (int ingredient : decision->considered) {
    Blend single{{ingredient}, {}};
    if (std::optional<Score> score = scores.Find(single)) {
      known[ingredient] = *score;
      if (decision->wanted.empty()) ++decision->evaluations;
    } else {
      decision->wanted.push_back(std::move(single));
    }
  }
  if (!decision->wanted.empty()) return;
  decision->order = decision->considered;
  std::stable_sort(decision->order.begin(), decision->order.end(), [&](int a, int b) {
    return CompareScores(options.metric, known[a], known[b]) > 0;
  });
}

}  // namespace stockpot
