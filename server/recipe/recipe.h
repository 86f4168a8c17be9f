// A recipe: a deterministic state machine over what is known. It never runs a model; it says which
// blends it wants measured on the held-out set next, or that it is done and what the soup is. Same
// scores, same decision: workers, order of arrival, crashes and caching cannot change a result.
//
// Source: Wortsman et al. 2022 (arXiv 2203.05482), section 2, Recipe 1; DESIGN.md section 1.
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_RECIPE_RECIPE_H_
#define STOCKPOT_SERVER_RECIPE_RECIPE_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "server/recipe/spec.h"

namespace stockpot {

// Weights as a combination of ingredients, by position in the job's list, in the order they are
// added (the order is part of the arithmetic). No coefficients means uniform.
struct Blend {
  std::vector<int> ingredients;
  std::vector<double> coefficients;

  friend bool operator==(const Blend& a, const Blend& b) {
    return std::tie(a.ingredients, a.coefficients) == std::tie(b.ingredients, b.coefficients);
  }
  template <typename H>
  friend H AbslHashValue(H state, const Blend& blend) {
    return H::combine(std::move(state), blend.ingredients, blend.coefficients);
  }
};

// One full pass over one data set. Counts are exact; the sum is float64.
struct Score {
  int64_t example_count = 0;
  int64_t top1_correct = 0;
  int64_t top5_correct = 0;
  double cross_entropy_sum = 0;
  int batch_size = 0;  // examples per forward pass
};

// Negative: `a` is worse than `b`; zero: they tie; positive: better. Counts are compared as
// integers. Both must be of the same data set.
int CompareScores(Metric metric, const Score& a, const Score& b);

// What is known of the held-out set.
class HeldOutScores {
 public:
  virtual ~HeldOutScores() = default;
  virtual std::optional<Score> Find(const Blend& blend) const = 0;
};

// One candidate that was tried. The first is the best single model, accepted by definition.
struct RecipeStep {
  int candidate = 0;
  bool accepted = false;
  Score score;  // of the soup with the candidate
  int soup_size = 0;
};

struct Decision {
  // Wanted on the held-out set, most urgent first; empty exactly when `done`. Entries after
  // `required` are speculation: they may turn out not to matter.
  std::vector<Blend> wanted;
  size_t required = 0;
  bool done = false;
  Blend soup;                     // when done
  std::vector<int> order;         // best first; empty until every ingredient is measured
  std::vector<RecipeStep> steps;  // what is decided so far; grows only
  // The ingredients that are ranked: all, or as many as the budget allows, in the spec's order.
  std::vector<int> considered;
  // Passes over the held-out set that are decided upon, in the order in which they count.
  int64_t evaluations = 0;
  int untried = 0;  // candidates that the budget leaves out; known once `order` is
};

class Recipe {
 public:
  virtual ~Recipe() = default;
  // "greedy/1": what decided, stored with the job. Changes whenever a decision could.
  virtual std::string version() const = 0;
  // "acceptance=STRICT_IMPROVEMENT": the named choices, for the report.
  virtual std::vector<std::string> choices() const = 0;
  virtual Decision Next(const HeldOutScores& scores) const = 0;
};

inline constexpr int64_t kNoBudget = std::numeric_limits<int64_t>::max();

// What every recipe needs to know. `ingredients` are the usable ones, in the spec's order.
struct RecipeOptions {
  std::vector<int> ingredients;
  Metric metric = Metric::kTop1;
  Acceptance acceptance = Acceptance::kStrictImprovement;
  int speculation = 1;  // candidates wanted at once, at least 1
  // Passes over the held-out set that may be asked for; at least one ingredient is ranked.
  int64_t max_evaluations = kNoBudget;
};

// Best first, ties broken by ingredient order; accepts on strict improvement (the authors' code) or
// on "not worse" (the paper's Recipe 1).
std::unique_ptr<Recipe> MakeGreedyRecipe(RecipeOptions options);

// The mean of all; wants the single ingredients too, for the report's baseline.
std::unique_ptr<Recipe> MakeUniformRecipe(RecipeOptions options);

// Fills in `considered` (the first `most` ingredients), `evaluations` and, once all their scores
// are known, `order`, best first; till then what is missing is wanted.
void RankIngredients(const RecipeOptions& options, int64_t most, const HeldOutScores& scores,
                     Decision* decision);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_RECIPE_H_
