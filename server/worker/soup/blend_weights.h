// worker/soup: the arithmetic of weights.
//
// One canonical order, so that every path gives the same bits (DESIGN.md section 4):
//   uniform:       sum = w_0; sum += w_i in the blend's order, in float32 (float64 where stored
//   so);
//                  soup = sum * (1 / k), one rounding at the end to the output dtype.
//   coefficients:  sum = c_0 * w_0; sum += c_i * w_i (product rounded, then added: no fused
//                  multiply-add), rounded to the output dtype.
// One ingredient with coefficient 1 is the identity, bit for bit. Integer and bool tensors, and
// those that are StateDict::IsFixed(), come from the first ingredient. float8, float16 and bfloat16
// accumulate in float32.
//
// Source: Wortsman et al. 2022 (arXiv 2203.05482), section 2, Recipe 1 and equation for uniform
// soup. Thread safety: the function is thread-safe. No torch here: spans in, spans out.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_BLEND_WEIGHTS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_BLEND_WEIGHTS_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// The dtype a blended tensor has: `requested` for floating-point tensors (nullopt: as stored);
// others always keep theirs.
DType BlendDType(DType stored, std::optional<DType> requested);

// Ingredients and how much of each: what a blend is made of. Thread safety: plain data.
struct WeightBlend {
  absl::Span<const std::shared_ptr<const StateDict>> ingredients;  // CheckCompatible held
  absl::Span<const double> coefficients;  // none, or as CheckCoefficients takes them
  std::optional<DType> dtype;             // of floating-point tensors; nullopt: as stored
};

// The tensors that the blend has, in the order of its ingredients'.
std::vector<TensorInfo> BlendedTensors(const WeightBlend& blend);

// One tensor of a blend, its ingredients' elements at hand: any range of it can be made.
// Ownership: the ingredients must outlive it. Thread safety: immutable after Open().
class OpenTensor {
 public:
  // Errors: as BlendTensor, but for `out`.
  static absl::StatusOr<OpenTensor> Open(
      absl::Span<const std::shared_ptr<const StateDict>> ingredients,
      absl::Span<const double> coefficients, size_t index, std::optional<DType> requested);

  DType dtype() const { return dtype_; }
  size_t element_count() const { return element_count_; }
  // Bytes of room for the sum of `count` elements: 0 where there is nothing to sum.
  size_t SumBytes(size_t count) const;

  // Writes `count` elements from `begin` on, both in elements of the tensor. `sum` has
  // SumBytes(count), aligned to 8; what is in it does not matter.
  // Where `room` is given, of `count` stored elements, ingredients are copied to it one by one
  // (StateDict::Copy) instead of being read where they are mapped. Errors: of reading.
  absl::Status Make(size_t begin, size_t count, char* sum, char* room, char* out) const;

 private:
  OpenTensor() = default;

  DType stored_ = DType::kFloat32;
  DType dtype_ = DType::kFloat32;
  size_t element_count_ = 0;
  bool identity_ = false;  // the first ingredient's own numbers
  std::vector<double> coefficients_;
  std::vector<std::vector<char>> copies_;  // of tensors that do not lie in order in their files
  std::vector<const char*> inputs_;
  std::vector<const StateDict*> ingredients_;  // null: of which a copy was made
  size_t index_ = 0;
};

// Writes the blend of tensor `index` (the same in every state dict: CheckCompatible held) into
// `out`, as BlendDType(stored, requested). `coefficients` are this tensor's, one for each
// ingredient; empty means uniform. `out` has exactly the bytes of that dtype and shape. Errors:
// INVALID_ARGUMENT no ingredients, another number of coefficients, another size of `out`; DATA_LOSS
// from reading.
absl::Status BlendTensor(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                         absl::Span<const double> coefficients, size_t index,
                         std::optional<DType> requested, absl::Span<char> out);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_WEIGHTS_H_
