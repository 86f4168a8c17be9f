// Inner products of weights, in float64 and in one order: by blocks of 4096 elements, each in eight
// interleaved sums, added up from the first to the last. So they do not depend on threads, and the
// compiler may still use vectors. Memory: blocks. No torch here.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_INNER_PRODUCTS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_INNER_PRODUCTS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/progress.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Of two blocks of at most 4096 elements.
double InnerProduct(absl::Span<const double> a, absl::Span<const double> b);

// <tensor `index` of `state_dict`, gradient>. The tensor is floating-point and has as many
// elements. Errors: DATA_LOSS from reading.
absl::StatusOr<double> InnerProduct(const StateDict& state_dict, size_t index,
                                    absl::Span<const float> gradient);

// Row-major [k, k]: <w_i - base, w_j - base> over all floating-point tensors that are not fixed,
// for k ingredients that agree with each other and with the base (CheckCompatible). Every
// ingredient is read once. `progress` counts tensors. Errors: DATA_LOSS from reading; what
// `progress` gave.
absl::StatusOr<std::vector<double>> InnerProductsOfMoves(
    absl::Span<const std::shared_ptr<const StateDict>> ingredients, const StateDict& base,
    const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_INNER_PRODUCTS_H_
