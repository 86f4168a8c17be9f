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

#include "absl/functional/function_ref.h"
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

// The sum of a tensor's first `summed` ingredients, none of them scaled, in numbers of SumSize()
// (blend_kernel.h). Ownership: not of the room. Thread safety: plain data.
struct KeptSum {
  char* sum = nullptr;  // null: none is kept; aligned to 8
  size_t summed = 0;    // at most all ingredients but the last
};

// One tensor of a blend, its ingredients' elements at hand: any range of it can be made.
// Ownership: the ingredients must outlive it. Thread safety: immutable after Open().
class OpenTensor {
 public:
  // With `kept` (of a uniform blend's tensor of floating point; ignored for others), Make() begins
  // with that sum, and leaves there that of all ingredients but the last: the bits are the same.
  // Errors: as BlendTensor, but for `out`.
  static absl::StatusOr<OpenTensor> Open(
      absl::Span<const std::shared_ptr<const StateDict>> ingredients,
      absl::Span<const double> coefficients, size_t index, std::optional<DType> requested,
      KeptSum kept = {});

  DType dtype() const { return dtype_; }
  size_t element_count() const { return element_count_; }
  // Bytes of room for the sum of `count` elements: 0 where there is nothing to sum.
  size_t SumBytes(size_t count) const;

  // Writes `count` elements from `begin` on, both in elements of the tensor. `sum` has
  // SumBytes(count), aligned to 8; what is in it does not matter.
  // Where `room` is given, of `count` stored elements, ingredients are copied to it one by one
  // (StateDict::Copy) instead of being read where they are mapped. Ranges that have nothing in
  // common may be made at the same time. Errors: of reading.
  absl::Status Make(size_t begin, size_t count, char* sum, char* room, char* out) const;

 private:
  OpenTensor() = default;
  // Brings the kept sum up to date, and copies it to `sum`.
  void BeginWithKept(size_t begin, size_t count, char* sum) const;

  DType stored_ = DType::kFloat32;
  DType dtype_ = DType::kFloat32;
  size_t element_count_ = 0;
  bool identity_ = false;  // the first ingredient's own numbers
  std::vector<double> coefficients_;
  std::vector<std::vector<char>> copies_;  // of tensors that do not lie in order in their files
  std::vector<const char*> inputs_;
  std::vector<const StateDict*> ingredients_;  // null: of which a copy was made
  size_t index_ = 0;
  KeptSum kept_;
};

// See BlendTensor.
using BlockRunner =
    absl::FunctionRef<void(int64_t, absl::FunctionRef<void(int64_t from, int64_t to)>)>;
inline void InTurn(int64_t blocks, absl::FunctionRef<void(int64_t, int64_t)> work) {
  work(0, blocks);
}

// Writes the blend of tensor `index` (the same in every state dict: CheckCompatible held) into
// `out`, as BlendDType(stored, requested). `coefficients` are this tensor's, one for each
// ingredient; empty means uniform. `out` has exactly the bytes of that dtype and shape. Errors:
// INVALID_ARGUMENT no ingredients, another number of coefficients, another size of `out`; DATA_LOSS
// from reading. `kept` is as for OpenTensor; `parallel` calls its second argument for ranges that
// cover [0, first), from as many threads as it likes, and returns after all of them.
absl::Status BlendTensor(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                         absl::Span<const double> coefficients, size_t index,
                         std::optional<DType> requested, absl::Span<char> out, KeptSum kept = {},
                         BlockRunner parallel = InTurn);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_WEIGHTS_H_
