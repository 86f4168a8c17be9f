// Blends on a card: the arithmetic of worker/soup in LibTorch's operators, many tensors in one
// kernel, with ingredients and running sums that stay there. Internal to evaluation/.
//
// Every operation rounds as worker/soup's does and comes in its order (blend_weights.h), products
// before they are added, so that the bits are the same; device_blend_test holds it.
// Source: Wortsman et al. 2022 (arXiv 2203.05482), Recipe 1; DESIGN.md section 4.
// Ownership: `resident` must outlive it. Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_BLEND_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_BLEND_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/evaluation/resident_tensors.h"
#include "server/worker/soup/summed_ingredients.h"

namespace stockpot {

class DeviceBlend {
 public:
  using Ingredients = absl::Span<const std::shared_ptr<const StateDict>>;

  // One tensor of a blend and where it goes.
  struct Wanted {
    size_t index = 0;  // of the ingredients' tensors
    DType rounded = DType::kFloat32;
    at::Tensor target;  // on the device, of any floating-point dtype: converted once it is rounded
  };

  DeviceBlend(c10::Device device, ResidentTensors* resident)
      : device_(device), resident_(resident) {}

  // Whether the operators here give worker/soup's bits for a tensor stored and rounded like this.
  static bool CanMake(DType stored, DType rounded);

  // `coefficients` are those of CheckCoefficients; every one of `wanted` can be made. Errors: of
  // reading. May throw what LibTorch throws.
  absl::Status Write(Ingredients ingredients, absl::Span<const double> coefficients,
                     absl::Span<const Wanted> wanted);

 private:
  struct Blend;  // what Write was given

  absl::Status WriteGroup(const Blend& blend, absl::Span<const Wanted> group);
  absl::Status CopyFirst(const Blend& blend, absl::Span<const Wanted> group);
  // Brings the kept sums up to date: of all ingredients but the last.
  absl::StatusOr<std::vector<at::Tensor>> SumAllButLast(const Blend& blend,
                                                        absl::Span<const Wanted> group);
  absl::StatusOr<std::vector<at::Tensor>> SumWithCoefficients(const Blend& blend,
                                                              absl::Span<const Wanted> group);
  // Ingredient k's tensors, in the numbers that are summed; not to be written to.
  absl::StatusOr<std::vector<at::Tensor>> Terms(const Blend& blend, size_t k,
                                                absl::Span<const Wanted> group);
  absl::StatusOr<std::shared_ptr<const ResidentTensors::Tensors>> FindResident(const Blend& blend,
                                                                               size_t k);

  const c10::Device device_;
  ResidentTensors* const resident_;
  SummedIngredients summed_;
  std::vector<at::Tensor> sums_;  // by tensor
  std::vector<size_t> indices_;   // of the tensors that have sums
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_BLEND_H_
