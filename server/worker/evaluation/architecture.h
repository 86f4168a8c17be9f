// What a Runner runs: a program, and the tensors that it computes with. Internal to evaluation/.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_H_

#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/precision.h"
#include "server/worker/evaluation/model_inputs.h"

namespace stockpot {

class Architecture {
 public:
  struct Tensor {
    std::string name;  // as a checkpoint has it
    at::Tensor value;  // the program's own memory: writing there changes what it computes
    bool is_buffer = false;
  };

  virtual ~Architecture() = default;

  // Parameters and buffers by name; those of one memory are one tensor under several names.
  virtual std::vector<Tensor> Tensors() const = 0;
  // The arguments of Forward(), after the program itself.
  virtual const c10::FunctionSchema& schema() const = 0;
  // Throws what LibTorch throws.
  virtual c10::IValue Forward(Arguments arguments) = 0;
  // Whether it can compute so. FAILED_PRECONDITION (reason PRECISION_UNSUPPORTED or
  // CHANNELS_LAST_UNSUPPORTED).
  virtual absl::Status CheckComputation(Precision precision, bool channels_last) const = 0;
  // Whether Forward() may be called on several threads at once, and with any number of examples.
  virtual bool runs_at_once() const = 0;
  // What layers and gradients can be asked of; null where all that is left is machine code.
  virtual torch::jit::Module* module() = 0;
};

// Errors of all: INVALID_ARGUMENT (reason ARCHITECTURE_INVALID), RESOURCE_EXHAUSTED
// (OUT_OF_MEMORY).
absl::Status InvalidArchitecture(absl::string_view message);
absl::StatusOr<std::unique_ptr<Architecture>> LoadTorchScript(const std::string& path,
                                                              c10::Device device);
// Also FAILED_PRECONDITION (ARCHITECTURE_INVALID) when it was compiled for another device.
absl::StatusOr<std::unique_ptr<Architecture>> LoadCompiled(const std::string& path,
                                                           c10::Device device);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_H_
