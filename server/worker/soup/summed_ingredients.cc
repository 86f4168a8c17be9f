#include "server/worker/soup/summed_ingredients.h"

#include <algorithm>
#include <utility>

namespace stockpot {

std::optional<size_t> SummedIngredients::Begin(
    absl::Span<const std::shared_ptr<const StateDict>> ingredients,
    absl::Span<const double> coefficients) {
  next_.clear();
  if (ingredients.size() < 3 || !coefficients.empty()) return std::nullopt;
  const Ingredients before = std::exchange(summed_, {});
  const bool goes_on = !before.empty() && before.size() < ingredients.size() &&
                       std::equal(before.begin(), before.end(), ingredients.begin());
  next_.assign(ingredients.begin(), ingredients.end() - 1);
  return goes_on ? before.size() : 0;
}

void SummedIngredients::End() {
  if (!next_.empty()) summed_ = std::exchange(next_, {});
}

}  // namespace stockpot
