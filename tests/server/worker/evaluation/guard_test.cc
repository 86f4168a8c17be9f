#include "server/worker/evaluation/guard.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <stdexcept>

#include "server/base/status.h"

namespace stockpot {
namespace {

TEST(Guard, EveryWayToRunOutOfMemoryHasItsReason) {
  const std::function<void()> ways[] = {
      [] { throw std::bad_alloc(); },
      [] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate"); },
      [] { TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to"); },
      [] {
        throw std::runtime_error("… RuntimeError: CUDA out of memory. Tried to allocate 2 GiB");
      },
      [] { throw std::runtime_error("CUDA error: out of memory\nCompile with …"); },
      [] { throw std::runtime_error("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …"); },
      [] { throw std::runtime_error("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"); },
      [] { throw std::runtime_error("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"); },
  };
  for (size_t i = 0; i < std::size(ways); ++i) {
    const absl::Status status = Guard("running the model", [&] {
      ways[i]();
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << i << ": " << status;
    EXPECT_EQ(GetErrorFacts(status).reason, "OUT_OF_MEMORY") << i << ": " << status;
  }
}

TEST(Guard, ACardThatBrokeIsNotOutOfMemory) {
  const absl::Status status = Guard("running the model", []() -> absl::Status {
    throw std::runtime_error("CUDA error: an illegal memory access was encountered");
  });
  EXPECT_EQ(GetErrorFacts(status).reason, "DEVICE_LOST");
}

}  // namespace
}  // namespace stockpot
