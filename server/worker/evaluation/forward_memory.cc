#include "server/worker/evaluation/forward_memory.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <memory>

namespace stockpot {
namespace {

// LibTorch's allocators tell whoever is their thread's profiler.
class AllocationCounter final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* /*memory*/, int64_t size, size_t /*allocated*/, size_t /*reserved*/,
                         c10::Device /*device*/) override {
    live_ += size;
    counted_.peak = std::max(counted_.peak, live_);
    counted_.total += std::max<int64_t>(size, 0);
  }
  bool memoryProfilingEnabled() const override { return true; }

  const ForwardMemory& counted() const { return counted_; }

 private:
  int64_t live_ = 0;  // may fall below 0: what was there before is freed too
  ForwardMemory counted_;
};

}  // namespace

ForwardMemory MeasureMemory(absl::FunctionRef<void()> run) {
  const auto counter = std::make_shared<AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  run();
  return counter->counted();
}

}  // namespace stockpot
