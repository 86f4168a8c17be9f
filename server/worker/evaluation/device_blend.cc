#include "server/worker/evaluation/device_blend.h"

#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/torch_dtype.h"
#include "server/worker/evaluation/torch_tensor.h"
#include "server/worker/soup/blend_coefficients.h"

namespace stockpot {
namespace {

// What a group's temporary tensors may take; tensors that are larger are a group of their own.
constexpr int64_t kGroupBytes = 256 << 20;

bool HasFloat32Sum(DType stored) {
  return stored == DType::kFloat32 || stored == DType::kFloat16 || stored == DType::kBFloat16;
}

c10::ScalarType SumType(DType stored) {
  return stored == DType::kFloat64 ? c10::kDouble : c10::kFloat;
}

// As the sums' numbers have it.
at::Scalar RoundedScalar(double value, DType stored) {
  return stored == DType::kFloat64 ? value : static_cast<double>(static_cast<float>(value));
}

at::Scalar InverseOf(size_t count, DType stored) {
  if (stored == DType::kFloat64) return 1.0 / static_cast<double>(count);
  return static_cast<double>(1.0f / static_cast<float>(count));
}

}  // namespace

struct DeviceBlend::Blend {
  Ingredients ingredients;
  absl::Span<const double> coefficients;
  absl::Span<const Wanted> wanted;
  std::optional<size_t> begin_with;  // ingredients that the kept sums are of; none: they are no use

  const TensorInfo& InfoOf(const Wanted& one) const { return ingredients[0]->tensors()[one.index]; }
  std::vector<double> CoefficientsOf(const Wanted& one) const {
    return CoefficientsOfTensor(coefficients, ingredients.size(), ingredients[0]->tensors().size(),
                                one.index);
  }
  // The first ingredient's own numbers.
  bool IsIdentity(const Wanted& one) const {
    if (ingredients[0]->IsFixed(one.index)) return true;
    return ingredients.size() == 1 && (coefficients.empty() || CoefficientsOf(one)[0] == 1.0);
  }
};

bool DeviceBlend::CanMake(DType stored, DType rounded) {
  if (HasFloat32Sum(stored)) return HasFloat32Sum(rounded);
  // From float64 LibTorch rounds to 16 bits by way of float32: twice.
  return stored == DType::kFloat64 && (rounded == DType::kFloat64 || rounded == DType::kFloat32);
}

absl::Status DeviceBlend::Write(Ingredients ingredients, absl::Span<const double> coefficients,
                                absl::Span<const Wanted> wanted) {
  Blend blend{ingredients, coefficients, wanted, summed_.Begin(ingredients, coefficients)};
  std::vector<size_t> indices;
  for (const Wanted& one : wanted) indices.push_back(one.index);
  if (indices != indices_) {  // there are no sums of what was not wanted before
    if (blend.begin_with.has_value()) blend.begin_with = 0;
    indices_ = std::move(indices);
  }
  sums_.resize(ingredients[0]->tensors().size());
  for (size_t begin = 0, end = 0; begin < wanted.size(); begin = end) {
    const DType stored = blend.InfoOf(wanted[begin]).dtype;
    const bool identity = blend.IsIdentity(wanted[begin]);
    int64_t bytes = 0;
    for (end = begin; end < wanted.size(); ++end) {
      const TensorInfo& info = blend.InfoOf(wanted[end]);
      bytes += info.element_count() * int64_t{sizeof(double)};
      if (end > begin && (bytes > kGroupBytes || info.dtype != stored ||
                          blend.IsIdentity(wanted[end]) != identity)) {
        break;
      }
    }
    const auto group = wanted.subspan(begin, end - begin);
    RETURN_IF_ERROR(identity ? CopyFirst(blend, group) : WriteGroup(blend, group));
  }
  summed_.End();
  return absl::OkStatus();
}

absl::Status DeviceBlend::CopyFirst(const Blend& blend, absl::Span<const Wanted> group) {
  ASSIGN_OR_RETURN(const std::vector<at::Tensor> terms, Terms(blend, 0, group));
  for (size_t i = 0; i < group.size(); ++i) {
    at::Tensor target = group[i].target;
    target.copy_(terms[i].to(ToScalarType(group[i].rounded)), /*non_blocking=*/true);
  }
  return absl::OkStatus();
}

absl::Status DeviceBlend::WriteGroup(const Blend& blend, absl::Span<const Wanted> group) {
  std::vector<at::Tensor> blended;
  if (blend.coefficients.empty()) {
    ASSIGN_OR_RETURN(const std::vector<at::Tensor> sums, SumAllButLast(blend, group));
    const size_t count = blend.ingredients.size();
    ASSIGN_OR_RETURN(const std::vector<at::Tensor> last, Terms(blend, count - 1, group));
    blended = at::_foreach_add(sums, last);
    at::_foreach_mul_(blended, InverseOf(count, blend.InfoOf(group[0]).dtype));
  } else {
    ASSIGN_OR_RETURN(blended, SumWithCoefficients(blend, group));
  }
  std::vector<at::Tensor> targets;
  for (size_t i = 0; i < group.size(); ++i) {
    blended[i] = blended[i].to(ToScalarType(group[i].rounded));
    targets.push_back(group[i].target);
  }
  at::_foreach_copy_(targets, blended, /*non_blocking=*/true);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<at::Tensor>> DeviceBlend::SumAllButLast(const Blend& blend,
                                                                   absl::Span<const Wanted> group) {
  if (!blend.begin_with.has_value()) return Terms(blend, 0, group);  // of two
  std::vector<at::Tensor> sums;
  for (const Wanted& one : group) sums.push_back(sums_[one.index]);
  for (size_t k = *blend.begin_with; k + 1 < blend.ingredients.size(); ++k) {
    ASSIGN_OR_RETURN(const std::vector<at::Tensor> terms, Terms(blend, k, group));
    if (k > 0) {
      at::_foreach_add_(sums, terms);
      continue;
    }
    for (size_t i = 0; i < group.size(); ++i) {
      sums[i] = sums_[group[i].index] = terms[i].clone();
    }
  }
  return sums;
}

absl::StatusOr<std::vector<at::Tensor>> DeviceBlend::SumWithCoefficients(
    const Blend& blend, absl::Span<const Wanted> group) {
  std::vector<at::Tensor> sums;
  for (size_t k = 0; k < blend.ingredients.size(); ++k) {
    std::vector<at::Scalar> factors;
    for (const Wanted& one : group) {
      factors.push_back(RoundedScalar(blend.CoefficientsOf(one)[k], blend.InfoOf(one).dtype));
    }
    ASSIGN_OR_RETURN(const std::vector<at::Tensor> terms, Terms(blend, k, group));
    std::vector<at::Tensor> products = at::_foreach_mul(terms, factors);
    if (k == 0) {
      sums = std::move(products);
    } else {
      at::_foreach_add_(sums, products);
    }
  }
  return sums;
}

absl::StatusOr<std::vector<at::Tensor>> DeviceBlend::Terms(const Blend& blend, size_t k,
                                                           absl::Span<const Wanted> group) {
  ASSIGN_OR_RETURN(const auto resident, FindResident(blend, k));
  std::vector<at::Tensor> terms;
  for (const Wanted& one : group) {
    const c10::ScalarType type = SumType(blend.InfoOf(one).dtype);
    if (resident != nullptr && (*resident)[one.index].defined()) {
      terms.push_back((*resident)[one.index].to(type));
      continue;
    }
    ASSIGN_OR_RETURN(const at::Tensor stored, ToDevice(*blend.ingredients[k], one.index, device_));
    terms.push_back(stored.to(type));
  }
  return terms;
}

absl::StatusOr<std::shared_ptr<const ResidentTensors::Tensors>> DeviceBlend::FindResident(
    const Blend& blend, size_t k) {
  const std::shared_ptr<const StateDict>& ingredient = blend.ingredients[k];
  std::string key =
      absl::StrCat("weights/", absl::Hex(reinterpret_cast<uintptr_t>(ingredient.get())));
  if (auto found = resident_->Find(key)) return found;
  size_t bytes = 0;
  for (const Wanted& one : blend.wanted) bytes += blend.InfoOf(one).byte_count();
  if (!resident_->MakeRoom(bytes)) return nullptr;
  ResidentTensors::Tensors tensors(ingredient->tensors().size());
  for (const Wanted& one : blend.wanted) {
    ASSIGN_OR_RETURN(tensors[one.index], ToDevice(*ingredient, one.index, device_));
  }
  return resident_->Keep(std::move(key), std::move(tensors), ingredient);
}

}  // namespace stockpot
