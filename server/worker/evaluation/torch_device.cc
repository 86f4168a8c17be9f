#include "server/worker/evaluation/torch_device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/device_kind.h"
#include "server/worker/evaluation/cpu_name.h"
#include "server/worker/evaluation/cuda_driver.h"
#include "server/worker/evaluation/guard.h"

#ifndef _OPENMP
#error "at::parallel_for would be a loop on one thread: compile with -fopenmp"
#endif

namespace stockpot {
namespace {

void ApplySettings() {
  // Runs the program as it is written: the same operators in the 1st and the nth call.
  torch::jit::getExecutorMode() = true;
  torch::jit::getProfilingMode() = false;
  // Machine code checks shapes of inputs only where asked, and else reads beyond their end.
  setenv("AOTI_RUNTIME_CHECK_INPUTS", "1", /*overwrite=*/1);
  torch::jit::setGraphExecutorOptimize(false);
  torch::jit::setTensorExprFuserEnabled(false);

  at::Context& context = at::globalContext();
  context.setFloat32MatmulPrecision("highest");
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setAllowFP16ReductionCuBLAS(false, /*allow_splitk=*/false);
  context.setAllowBF16ReductionCuBLAS(false, /*allow_splitk=*/false);
  context.setAllowFP16ReductionCPU(false);
  context.setDeterministicAlgorithms(true, /*warn_only=*/true);
  context.setDeterministicFillUninitializedMemory(false);
}

// Settings first, then CUDA at most once, before anything asks LibTorch whether it is there:
// LibTorch remembers the first answer.
bool InitializeWithCuda() {
  static const bool opened = [] {
    // cuBLAS is reproducible only with a fixed workspace; read when its handle is made.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    const bool found = CudaDriverFindsACard() && OpenTorchCuda();
    ApplySettings();
    return found;
  }();
  return opened;
}

void InitializeWithoutCuda() {
  static const bool applied = [] {
    ApplySettings();
    return true;
  }();
  static_cast<void>(applied);
}

// Null while CUDA is not used. Not by at::Context, which would remember that there is no CUDA where
// none is opened yet.
c10::DeviceAllocator* FindCudaAllocator() {
  auto* const cuda = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::kCUDA));
  return cuda != nullptr && cuda->initialized() ? cuda : nullptr;
}

int CardCount() {
  return InitializeWithCuda() && at::hasCUDA() ? static_cast<int>(at::getNumGPUs()) : 0;
}

}  // namespace

void SetComputeThreads(int count) {
  if (count <= 0) count = static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(std::max(count, 1));
}

absl::StatusOr<c10::Device> OpenTorchDevice(const std::string& device) {
  return Guard("opening the device", [&]() -> absl::StatusOr<c10::Device> {
    if (device == kNoDevice) {
      return absl::FailedPreconditionError("this worker reads and writes files and has no device");
    }
    if (device == "cpu") {
      InitializeWithoutCuda();
      return c10::Device(c10::kCPU);
    }
    int index = 0;
    absl::string_view number = device;
    const bool numbered_automatic = absl::ConsumePrefix(&number, "auto:");
    const bool numbered = numbered_automatic || absl::ConsumePrefix(&number, "cuda:");
    const bool automatic = numbered_automatic || device == "auto";
    if (numbered ? !absl::SimpleAtoi(number, &index) || index < 0
                 : !automatic && device != "cuda") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown device '", device, "': auto, auto:N, cpu, cuda or cuda:N"));
    }
    const int count = CardCount();
    if (numbered_automatic && count > 0) index %= count;
    if (index < count) return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    if (automatic) return c10::Device(c10::kCPU);
    return absl::FailedPreconditionError(
        absl::StrCat("no device '", device, "': LibTorch finds ", count,
                     " cards here (its CUDA libraries must lie beside libtorch_cpu.so)"));
  });
}

CardMemory MemoryOf(c10::Device device) {
  c10::DeviceAllocator* const cuda = FindCudaAllocator();
  if (!device.is_cuda() || cuda == nullptr) return {};
  const auto [free, total] = cuda->getMemoryInfo(device.index());
  return {free, total};
}

size_t FreeMemoryOf(c10::Device device) { return MemoryOf(device).free; }

void ReleaseUnusedMemory() {
  malloc_trim(0);
  c10::DeviceAllocator* const cuda = FindCudaAllocator();
  if (cuda == nullptr) return;
  Guard("releasing memory", [&] {
    cuda->emptyCache();
    return absl::OkStatus();
  }).IgnoreError();  // a card that is lost shows at its next use
}

DeviceInfo DescribeDevice(c10::Device device) {
  DeviceInfo info;
  const std::string library = absl::StrCat("LibTorch ", TORCH_VERSION, ", float32");
  if (device.is_cuda()) {
    const CudaCard card = DescribeCard(device.index());
    info.kind = "cuda";
    info.name = card.name;
    info.numerics = absl::StrCat("cuda ", card.name, " (compute capability ", card.major, ".",
                                 card.minor, "), ", library, ", TF32 off, 16 bits channels last");
  } else {
    const CpuName cpu = ReadCpuName();
    info.kind = "cpu";
    info.name = cpu.model;
    // Which kernels run depends on the instruction set and, inside MKL, on the vendor.
    info.numerics = absl::StrCat("cpu ", at::get_cpu_capability(), " ", cpu.vendor, ", ", library,
                                 ", parts of batches as a cache holds");
  }
  return info;
}

absl::StatusOr<DeviceInfo> ProbeDevice(const std::string& device) {
  if (device == kNoDevice) return DeviceInfo{device, "", ""};
  auto opened = OpenTorchDevice(device);
  if (!opened.ok()) return opened.status();
  return DescribeDevice(*opened);
}

}  // namespace stockpot
