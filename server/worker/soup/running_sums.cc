#include "server/worker/soup/running_sums.h"

#include "server/worker/soup/blend_kernel.h"

namespace stockpot {

void RunningSums::Begin(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                        absl::Span<const double> coefficients) {
  begin_with_ = summed_.Begin(ingredients, coefficients);
  if (!begin_with_.has_value() || *begin_with_ > 0) return;
  const std::vector<TensorInfo>& tensors = ingredients[0]->tensors();
  if (tensors == tensors_) return;
  sums_.clear();
  sums_.resize(tensors.size());
  tensors_ = tensors;
}

KeptSum RunningSums::Of(size_t index) {
  if (!begin_with_.has_value()) return {};
  std::unique_ptr<char[]>& sum = sums_[index];
  const TensorInfo& info = tensors_[index];
  if (sum == nullptr) {
    sum.reset(new char[static_cast<size_t>(info.element_count()) * SumSize(info.dtype)]);
  }
  return {sum.get(), *begin_with_};
}

void RunningSums::End() { summed_.End(); }

}  // namespace stockpot
