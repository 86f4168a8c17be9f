#include "server/worker/soup/blend_coefficients.h"

#include "absl/strings/str_cat.h"

namespace stockpot {

absl::Status CheckCoefficients(size_t coefficient_count, size_t ingredient_count,
                               size_t tensor_count) {
  if (coefficient_count == 0 || coefficient_count == ingredient_count ||
      coefficient_count == ingredient_count * tensor_count) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      coefficient_count, " coefficients for ", ingredient_count, " ingredients of ", tensor_count,
      " tensors: one for each ingredient, or one for each ingredient and tensor"));
}

std::vector<double> CoefficientsOfTensor(absl::Span<const double> coefficients,
                                         size_t ingredient_count, size_t tensor_count,
                                         size_t index) {
  if (coefficients.empty() || coefficients.size() == ingredient_count) {
    return {coefficients.begin(), coefficients.end()};
  }
  std::vector<double> own(ingredient_count);
  for (size_t k = 0; k < ingredient_count; ++k) own[k] = coefficients[k * tensor_count + index];
  return own;
}

}  // namespace stockpot
