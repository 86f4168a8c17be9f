// LibTorch on this machine: its process-wide settings and its devices. Internal to evaluation/.
//
// The program links libtorch_cpu alone. Where a card and its driver are found, libtorch_cuda.so is
// opened from beside libtorch_cpu.so at the first use of a device, so that one binary serves both;
// where that fails, there is only the CPU (DESIGN.md section 6).
//
// Settings: a result must depend on the model, weights and inputs alone, never on what ran before.
// So no profiling executor, no fuser, no TF32, no cuDNN autotuning, no reduced-precision sums.
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DEVICE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DEVICE_H_

#include <c10/core/Device.h>

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

// Applies the settings, once per process, and finds the device that "cpu", "cuda", "cuda:N" or
// "auto" names. Errors: INVALID_ARGUMENT, FAILED_PRECONDITION as ProbeDevice.
absl::StatusOr<c10::Device> OpenTorchDevice(const std::string& device);

DeviceInfo DescribeDevice(c10::Device device);

// In bytes. Zeros of a device that is not a card, and of one that nothing ran on yet.
struct CardMemory {
  size_t free = 0, total = 0;
};
CardMemory MemoryOf(c10::Device device);

// Bytes that nobody has taken yet; 0 of a device that is not a card. A device that was opened.
size_t FreeMemoryOf(c10::Device device);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DEVICE_H_
