// The recipes, each in its own file, and what they share. Internal to recipe/: see recipe.h.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_RECIPE_RECIPE_PARTS_H_
#define STOCKPOT_SERVER_RECIPE_RECIPE_PARTS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/recipe/recipe.h"

namespace stockpot {

std::unique_ptr<Recipe> MakeGreedyRecipe(RecipeOptions options);
std::unique_ptr<Recipe> MakeUniformRecipe(RecipeOptions options);
std::unique_ptr<Recipe> MakeBestSingleRecipe(RecipeOptions options);
std::unique_ptr<Recipe> MakeLearnedRecipe(RecipeOptions options);
std::unique_ptr<Recipe> MakeWiseFtRecipe(RecipeOptions options, std::unique_ptr<Recipe> soup);

// One greedy pass over `order`.
struct GreedyPass {
  std::vector<RecipeStep> steps;
  Blend soup;
  Score score;
  std::vector<Blend> wanted;  // the first is required; empty when the pass is done
  std::optional<Bar> bar;     // of all that is wanted
  int64_t evaluations = 0;    // beside the first model's
};
// `most`: evaluations that may be asked for.
GreedyPass RunGreedyPass(const RecipeOptions& options, const std::vector<int>& order, int64_t most,
                         bool ensemble, const HeldOutScores& scores);

// `order` shuffled: Fisher-Yates from the end with std::mt19937_64 of `seed` (plus `repeat`, in
// another word of its seed sequence), index = draw modulo the number left.
std::vector<int> ShuffledOrder(std::vector<int> order, uint64_t seed, int repeat);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_RECIPE_PARTS_H_
