// The running sums of a greedy soup: candidate after candidate is the soup so far and one more, so
// that what was summed once need not be read again. A candidate then costs two passes over a
// model's numbers, not as many as it has ingredients; its bits are those of BlendTensor.
//
// Source: Wortsman et al. 2022 (arXiv 2203.05482), Recipe 1; DESIGN.md section 4 on the order of
// additions. Ownership: keeps the ingredients that it has summed, and one model's numbers in
// float32 (float64 where stored so). Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_RUNNING_SUMS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_RUNNING_SUMS_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/soup/blend_weights.h"
#include "server/worker/soup/summed_ingredients.h"

namespace stockpot {

class RunningSums {
 public:
  // Before the tensors of a blend are made, every one of them with Of(): what is kept stays where
  // its ingredients begin with those that are summed, and is given up else. Blends that cannot
  // gain (of one or two ingredients, or with coefficients) leave all as it is.
  void Begin(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
             absl::Span<const double> coefficients);
  // For OpenTensor::Open of tensor `index` of that blend.
  KeptSum Of(size_t index);
  // After every tensor was made. Without it, as after an error, nothing is kept.
  void End();

 private:
  SummedIngredients summed_;
  std::vector<std::unique_ptr<char[]>> sums_;  // by tensor; null: not made yet
  std::vector<TensorInfo> tensors_;            // whose room that is
  std::optional<size_t> begin_with_;  // ingredients that are summed, of the blend that is made
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_RUNNING_SUMS_H_
