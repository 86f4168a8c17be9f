// Which coefficients a tensor has: Blend.coefficients of
// proto/stockpot/worker/v1/worker_service.proto. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_BLEND_COEFFICIENTS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_BLEND_COEFFICIENTS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace stockpot {

// INVALID_ARGUMENT unless there are none (uniform), one for each ingredient, or one for each
// ingredient and tensor.
absl::Status CheckCoefficients(size_t coefficient_count, size_t ingredient_count,
                               size_t tensor_count);

// One for each ingredient: those of tensor `index`. CheckCoefficients holds.
std::vector<double> CoefficientsOfTensor(absl::Span<const double> coefficients,
                                         size_t ingredient_count, size_t tensor_count,
                                         size_t index);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_COEFFICIENTS_H_
