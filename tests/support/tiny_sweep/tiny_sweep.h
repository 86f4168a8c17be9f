// A sweep that takes no time: checkpoints of a linear classifier with 4 inputs and 3 classes,
// and a held-out set, written to a folder of its own. Needs no torch and no shared data.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SUPPORT_TINY_SWEEP_TINY_SWEEP_H_
#define STOCKPOT_TESTS_SUPPORT_TINY_SWEEP_TINY_SWEEP_H_

#include <string>
#include <vector>

#include "server/worker/checkpoint/state_dict.h"
#include "stockpot/v1/spec.pb.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

struct MadeTensor {
  TensorInfo info;
  std::string bytes;
};

template <typename T>
MadeTensor MakeTensor(const std::string& name, DType dtype, std::vector<int64_t> shape,
                      const std::vector<T>& values) {
  return {{name, dtype, std::move(shape)},
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

// Ends the test program when it cannot be written.
void WriteSafetensors(const std::string& path, const std::vector<MadeTensor>& tensors);

class TinySweep {
 public:
  static constexpr int kExamples = 6;

  // The held-out set repeats its six examples this many times.
  explicit TinySweep(int repeats = 1, int ingredients = 3);

  // In it: models/*.pt, good_0.safetensors, good_1.safetensors …, data.safetensors.
  const TemporaryFolder& folder() const { return folder_; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

  // A greedy job over them, with models/{model}.
  v1::JobSpec Spec(const std::string& model = "linear.pt") const;

  // The tensors of a checkpoint, with these weights.
  static std::vector<MadeTensor> Checkpoint(const std::vector<float>& weight,
                                            std::vector<int64_t> shape);

 private:
  const int ingredients_;
  TemporaryFolder folder_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_TINY_SWEEP_TINY_SWEEP_H_
