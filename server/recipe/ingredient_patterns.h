// Ingredients that a spec names by a pattern (Ingredient.uri_pattern) or by a folder (a uri that
// ends with "/"): looked for by workers before the job is planned, then put in its place. A folder
// that is one checkpoint stays as it is. What was found is a fact of the job's own, so the same
// list stands after a restart. The spec itself stays as it was given. Thread safety: the functions
// are thread-safe.
#ifndef STOCKPOT_SERVER_RECIPE_INGREDIENT_PATTERNS_H_
#define STOCKPOT_SERVER_RECIPE_INGREDIENT_PATTERNS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/recipe/spec.h"
#include "server/recipe/task.h"

namespace stockpot {

// One for each pattern and folder, in the spec's order.
std::vector<Task> PatternTasks(const JobSpec& spec, const std::string& scope,
                               const SpecLimits& limits);

// The whole spec, without patterns: `json` is what `ParseJobSpec` made it of, `facts` those of
// PatternTasks(), in their order. A file that is named before, by its URI or by a pattern, is no
// ingredient again. A pattern's ingredients are called by the parts of their paths that differ, or,
// where that is the name of another ingredient, as if they were given one by one. Errors: what a
// fact failed with, naming the field (CHECKPOINT_NOT_FOUND: nothing matches); as ParseJobSpec: too
// many, a name of the spec that no ingredient has, a name given to a folder of several.
absl::StatusOr<JobSpec> ExpandPatterns(const Json& json, const std::vector<const Fact*>& facts,
                                       const std::string& path, const SpecLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_INGREDIENT_PATTERNS_H_
