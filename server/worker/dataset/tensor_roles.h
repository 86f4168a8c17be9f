// Which tensors of a data set are its labels, its inputs and its weights.
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROLES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROLES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// By their place among the tensors.
struct TensorRoles {
  size_t label = 0;
  std::vector<size_t> inputs;  // in the data set's order
  std::optional<size_t> weights;
  std::optional<size_t> lengths;  // of a file of the cache: kLengthsTensor
};

// In files of the cache, tensor_cache.h: how long the examples are.
inline constexpr char kLengthsTensor[] = "stockpot.lengths";

// `inputs`: empty: all but labels and weights. `weight_tensor`: "": none.
// Errors: INVALID_ARGUMENT (DATA_SET_INVALID), naming a tensor that is not there, or is two things.
absl::StatusOr<TensorRoles> FindTensorRoles(const std::vector<TensorInfo>& all,
                                            const std::string& label_tensor,
                                            const std::vector<std::string>& inputs,
                                            const std::string& weight_tensor);

// The same roles among the tensors of the cache, which were made of `all`.
absl::StatusOr<TensorRoles> FindCachedRoles(const std::vector<TensorInfo>& cached,
                                            const std::vector<TensorInfo>& all,
                                            const TensorRoles& roles);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROLES_H_
