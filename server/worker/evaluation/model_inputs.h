// From a data set's examples to the arguments of a model's forward(). Internal to evaluation/.
//
// Values: images are x / 255, then (x - mean) / std, in float32 and in this order, the same bits as
// `(x.float() / 255 - mean) / std` in PyTorch on the CPU. Other 8-bit inputs become float32; all
// else is given as stored.
//
// Inputs that differ in length are padded behind their end to the length of the batch. A model that
// has an argument `attention_mask` (of whatever type) to which no input is bound is given one, I64
// [batch, length]: 1 where there is something, 0 where it is padded; unless the data set has one,
// an input of that name. Where inputs have one length it is made of ones, for integer inputs [N,
// length], of a model that cannot do without, and unless some input is bound to nothing: it might
// be the mask.
//
// Thread safety: immutable. The data set must outlive it.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_MODEL_INPUTS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_MODEL_INPUTS_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <torch/csrc/jit/api/function_impl.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/resident_tensors.h"

namespace stockpot {

struct Arguments {
  std::vector<c10::IValue> positional;
  std::unordered_map<std::string, c10::IValue> named;
};

class ModelInputs {
 public:
  // No bindings: the data set's only input is the first argument, scaled when it is an 8-bit image.
  // Where `resident` has room for all of the data set it stays there, and batches are picked on the
  // device. Errors: INVALID_ARGUMENT (reason MODEL_INPUT_MISMATCH) naming the binding at fault and
  // what there is to choose from.
  static absl::StatusOr<ModelInputs> Create(const c10::FunctionSchema& forward,
                                            const DataSet& data_set,
                                            std::vector<InputBinding> bindings, c10::Device device,
                                            ResidentTensors* resident = nullptr);

  // Whether the model can tell padding: it is given an attention_mask, by the data set or from
  // here. If not, only examples of one length may be in a batch.
  bool masks_padding() const { return masks_padding_; }

  // Errors: INVALID_ARGUMENT (MODEL_INPUT_MISMATCH) examples differ in length and cannot be mixed.
  absl::Status CheckMixes() const;
  // As that, where statistics would count padding, mask or not.
  absl::Status CheckNoneDiffers() const;

  // These examples, at least one; the last one is repeated up to `batch_size`. Those that differ in
  // length are padded to `length`; 0: to the longest. The tensors are the caller's own, so that a
  // model may write into them.
  Arguments Batch(absl::Span<const int64_t> examples, int64_t batch_size, int64_t length = 0) const;

  // "x F32 [250, 4]", for messages.
  std::string Describe(int64_t batch_size, int64_t length = kAnyLength) const;

 private:
  static constexpr char kMask[] = "attention_mask";

  struct Bound {
    size_t input = 0;      // of the data set
    std::string argument;  // empty: by position
    at::Tensor all;        // examples on the device; undefined: they are copied batch by batch
    bool to_float = false;
    at::Tensor divisor;    // undefined: not scaled
    at::Tensor mean, std;  // undefined: not normalised; shaped to broadcast over a batch
  };

  ModelInputs(const DataSet& data_set, c10::Device device)
      : data_set_(&data_set), device_(device) {}
  absl::Status Bind(const InputBinding& binding);
  absl::Status CheckArguments(const c10::FunctionSchema& forward) const;
  void KeepOnDevice(ResidentTensors* resident);
  // Whether the data set has a mask, or may have one, that nothing was bound to.
  bool HasMaskUnbound(bool varies) const;
  void FindMask(const c10::FunctionSchema& forward);
  at::Tensor Read(const Bound& bound, absl::Span<const int64_t> examples, int64_t batch_size) const;
  at::Tensor ReadPadded(const Bound& bound, absl::Span<const int64_t> examples, int64_t batch_size,
                        int64_t length) const;
  at::Tensor MakeMask(absl::Span<const int64_t> examples, int64_t batch_size, int64_t length) const;

  const DataSet* data_set_;
  c10::Device device_;
  std::vector<Bound> bound_;
  bool masks_padding_ = false;
  bool makes_mask_ = false;
  int64_t mask_length_ = 0;  // of every batch; 0: its own
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_MODEL_INPUTS_H_
