#include "server/recipe/recipe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "server/recipe/recipe_parts.h"

namespace stockpot {

std::unique_ptr<Recipe> MakeRecipe(RecipeOptions options) {
  std::unique_ptr<Recipe> recipe;
  switch (options.recipe.kind) {
    case RecipeKind::kGreedy:
    case RecipeKind::kGreedyLogitEnsemble:
      recipe = MakeGreedyRecipe(options);
      break;
    case RecipeKind::kUniform:
    case RecipeKind::kLogitEnsemble:
      recipe = MakeUniformRecipe(options);
      break;
    case RecipeKind::kBestSingle:
      recipe = MakeBestSingleRecipe(options);
      break;
    case RecipeKind::kLearned:
      recipe = MakeLearnedRecipe(options);
      break;
  }
  const bool selects = options.recipe.wise_ft.has_value() && options.recipe.wise_ft->select;
  return selects ? MakeWiseFtRecipe(std::move(options), std::move(recipe)) : std::move(recipe);
}

Blend MakeSoup(const RecipeOptions& options, std::vector<int> ingredients,
               std::vector<double> coefficients) {
  const bool reestimated = options.reestimate && ingredients.size() > 1;
  return Blend{std::move(ingredients), std::move(coefficients), /*ensemble=*/false, reestimated};
}

Blend Interpolate(const Blend& soup, double coefficient) {
  if (coefficient == 1) return soup;
  if (coefficient == 0) return Blend{{kBase}, {}};
  Blend blend = soup;
  const size_t count = soup.ingredients.size();
  std::vector<double> parts = soup.coefficients;
  if (parts.empty()) parts.assign(count, 1.0 / static_cast<double>(count));
  for (double& part : parts) part *= coefficient;
  const size_t per_ingredient = parts.size() / count;
  parts.insert(parts.begin(), per_ingredient, 1 - coefficient);
  blend.ingredients.insert(blend.ingredients.begin(), kBase);
  blend.coefficients = std::move(parts);
  return blend;
}

std::vector<int> BestOfGroups(const RecipeOptions& options, const std::vector<int>& best_first) {
  std::vector<int> best;
  std::set<int> seen;
  for (const int ingredient : best_first) {
    const int group = options.groups.empty() ? 0 : options.groups[static_cast<size_t>(ingredient)];
    if (group == 0 || seen.insert(group).second) best.push_back(ingredient);
  }
  std::sort(best.begin(), best.end());
  return best;
}

std::vector<int> AllIngredients(const RecipeOptions& options, const std::vector<int>& best_first) {
  return options.groups.empty() ? options.ingredients : BestOfGroups(options, best_first);
}

}  // namespace stockpot
