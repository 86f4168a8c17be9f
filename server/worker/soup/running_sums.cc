#include "server/worker/soup/running_sums.h"

#include <algorithm>
#include <utility>

#include "server/worker/soup/blend_kernel.h"

namespace stockpot {

void RunningSums::Begin(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                        absl::Span<const double> coefficients) {
  next_.clear();
  if (ingredients.size() < 3 || !coefficients.empty()) return;
  const Ingredients before = std::exchange(summed_, {});
  const bool goes_on = !before.empty() && before.size() < ingredients.size() &&
                       std::equal(before.begin(), before.end(), ingredients.begin());
  begin_with_ = goes_on ? before.size() : 0;
  const std::vector<TensorInfo>& tensors = ingredients[0]->tensors();
  if (!goes_on && tensors != tensors_) {
    sums_.clear();
    sums_.resize(tensors.size());
    tensors_ = tensors;
  }
  next_.assign(ingredients.begin(), ingredients.end() - 1);
}

KeptSum RunningSums::Of(size_t index) {
  if (next_.empty()) return {};
  std::unique_ptr<char[]>& sum = sums_[index];
  const TensorInfo& info = tensors_[index];
  if (sum == nullptr) {
    sum.reset(new char[static_cast<size_t>(info.element_count()) * SumSize(info.dtype)]);
  }
  return {sum.get(), begin_with_};
}

void RunningSums::End() {
  if (!next_.empty()) summed_ = std::exchange(next_, {});
}

}  // namespace stockpot
