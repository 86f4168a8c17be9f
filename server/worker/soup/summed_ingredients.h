// Which ingredients kept sums are of, from one blend to the next: what RunningSums (in memory) and
// evaluation's DeviceBlend (on a card) have in common.
// Ownership: keeps the ingredients that are summed. Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_SUMMED_INGREDIENTS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_SUMMED_INGREDIENTS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

class SummedIngredients {
 public:
  // A blend is to be made. Where it can use sums: of how many of its first ingredients those kept
  // are, 0 where they are of others. From then on they have to become the sums of all its
  // ingredients but the last. Blends that cannot gain (of one or two ingredients, or with
  // coefficients) leave all as it is: nullopt.
  std::optional<size_t> Begin(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                              absl::Span<const double> coefficients);
  // Every tensor of that blend was made. Without it, as after an error, nothing is kept.
  void End();

 private:
  using Ingredients = std::vector<std::shared_ptr<const StateDict>>;

  // By identity: a StateDict never changes. Empty while a blend is made.
  Ingredients summed_;
  Ingredients next_;  // summed once it is made; empty: it uses no sums
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_SUMMED_INGREDIENTS_H_
