// What the soup gained, in numbers and in a sentence. Internal to recipe/: see plan.h.
// Thread safety: the functions are thread-safe; a PlanState is one thread's.
#ifndef STOCKPOT_SERVER_RECIPE_GAINS_H_
#define STOCKPOT_SERVER_RECIPE_GAINS_H_

#include <string>
#include <vector>

#include "server/recipe/plan_state.h"

namespace stockpot {

// The recipe is done. "Greedy soup of 5 of 12 ingredients: …".
std::string Explanation(const PlanState& state);

// Adds `gains` and `headline`. Without the examples of KeysOfGains() there are no gains.
void AddGains(const PlanState& state, Json* report);
std::vector<std::string> KeysOfGains(const PlanState& state);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_GAINS_H_
