// A recipe: a deterministic state machine over what is known. It never runs a model; it says which
// blends it wants measured on the held-out set next, or that it is done and what the soup is. Same
// scores, same decision: workers, order of arrival, crashes and caching cannot change a result.
//
// Source: Wortsman et al. 2022 (arXiv 2203.05482), section 2, Recipe 1, appendix I (learned soup);
// RADIN (arXiv 2401.17790); WiSE-FT (arXiv 2109.01903); DESIGN.md section 1. What each choice means
// is said in proto/stockpot/v1/spec.proto.
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

#include "server/base/score.h"
#include "server/recipe/spec.h"

namespace stockpot {

// A model made of ingredients, by position in the job's list (or kBase), in the order they are
// added (the order is part of the arithmetic).
struct Blend {
  std::vector<int> ingredients;
  // None: uniform. One for each ingredient; or, ingredient by ingredient, one for each tensor.
  std::vector<double> coefficients;
  // The ingredients' logits are averaged instead of their weights.
  bool ensemble = false;
  // Its BatchNorm statistics are gathered anew.
  bool reestimated = false;
  // Measured in FLOAT32 and with images as they come, whatever the job asks for.
  bool in_float32 = false;

  friend bool operator==(const Blend& a, const Blend& b) { return a.Members() == b.Members(); }
  template <typename H>
  friend H AbslHashValue(H state, const Blend& blend) {
    return H::combine(std::move(state), blend.Members());
  }

 private:
  std::tuple<const std::vector<int>&, const std::vector<double>&, bool, bool, bool> Members()
      const {
    return {ingredients, coefficients, ensemble, reestimated, in_float32};
  }
};

// (1 - coefficient) · base + coefficient · soup: WiSE-FT. The soup itself at 1, the base at 0.
Blend Interpolate(const Blend& soup, double coefficient);

// An epoch of the learned soup of these ingredients; it begins where the one before it ended.
struct LearnEpoch {
  std::vector<int> ingredients;
  int epoch = 0;
};

struct LearnedCoefficients {
  std::vector<double> coefficients;  // as Blend::coefficients
  double temperature = 1;
  double mean_loss = 0;
  std::string state;  // for the next epoch, as the worker gave it
};

// What a candidate has to be better than (or, where ties win, as good as) to be accepted.
struct Bar {
  Blend soup;  // so far
  Score score;
  bool ties_win = false;
};

// What is known of a candidate: its score, or only that it does not clear the bar.
struct Trial {
  std::optional<Score> score;
};

// What is known of the held-out set.
class HeldOutScores {
 public:
  virtual ~HeldOutScores() = default;
  virtual std::optional<Score> Find(const Blend& blend) const = 0;
  virtual std::optional<Trial> FindTrial(const Blend& blend, const Bar&) const {
    const std::optional<Score> score = Find(blend);
    if (!score.has_value()) return std::nullopt;
    return Trial{score};
  }
  // After this epoch. Those before it must be known.
  virtual std::optional<LearnedCoefficients> FindLearned(const LearnSpec&,
                                                         const LearnEpoch&) const {
    return std::nullopt;
  }
};

// One candidate that was tried. The first model is accepted by definition.
struct RecipeStep {
  int candidate = 0;
  bool accepted = false;
  // Of the soup with the candidate. None when it was passed over, or rejected without full scores.
  std::optional<Score> score;
  int soup_size = 0;
  bool passed_over = false;                   // its group is in the soup already
  std::optional<Score> not_better_than = {};  // rejected without full scores: of the soup so far
};

// A greedy soup in one of several orders.
struct OrderResult {
  std::vector<int> order;
  std::vector<RecipeStep> steps;
  Blend soup;
  Score score;
};

struct Decision {
  // Wanted on the held-out set, most urgent first. Entries after `required` are speculation: they
  // may turn out not to matter. Nothing is wanted exactly when `done`.
  std::vector<Blend> wanted;
  size_t required = 0;
  // It is enough to know of each that it does not clear this.
  std::optional<Bar> bar;
  std::optional<LearnEpoch> learn;  // wanted too
  bool done = false;
  Blend soup;                     // when done
  std::vector<int> order;         // best first; empty until every ingredient is measured
  std::vector<RecipeStep> steps;  // what is decided so far; of one order it grows only
  // With several orders: those that are done, and which of them `steps` and `soup` are of.
  std::vector<OrderResult> orders;
  int taken = 0;
  // Of the epochs that are known.
  std::vector<LearnedCoefficients> epochs;
  // When done, with a WiSE-FT that selects: the soup it began with, and the coefficient.
  std::optional<Blend> before_wise_ft;
  double wise_ft = 1;
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
  // By position in the job's list, 0: a group of its own. Empty: no groups.
  std::vector<int> groups;
  Metric metric = Metric::kTop1;
  RecipeSpec recipe;
  int speculation = 1;  // candidates wanted at once, at least 1
  // Passes over the held-out set that may be asked for; at least one ingredient is ranked. What is
  // worked out from kept logits is no pass.
  int64_t max_evaluations = kNoBudget;
  // Rejected candidates are scored too.
  bool full_scores = false;
  // Weights of more than one model get BatchNorm statistics of their own.
  bool reestimate = false;
};

// Of the kind that the options name.
std::unique_ptr<Recipe> MakeRecipe(RecipeOptions options);

// Fills in `considered` (the first `most` ingredients), `evaluations` and, once all their scores
// are known, `order`, best first; till then what is missing is wanted.
void RankIngredients(const RecipeOptions& options, int64_t most, const HeldOutScores& scores,
                     Decision* decision);

// The best of every group, in the spec's order.
std::vector<int> BestOfGroups(const RecipeOptions& options, const std::vector<int>& best_first);
// What a soup of all is made of: every ingredient, ranked or not, or the best of every group.
std::vector<int> AllIngredients(const RecipeOptions& options, const std::vector<int>& best_first);

// Weights as a recipe of these options makes them.
Blend MakeSoup(const RecipeOptions& options, std::vector<int> ingredients,
               std::vector<double> coefficients = {});

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_RECIPE_H_
