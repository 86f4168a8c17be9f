// LibTorch computes in a precision while this lives: process-wide settings, as evaluation is.
// Internal to evaluation/. Thread safety: confined to one thread, the only one that computes.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_PRECISION_SCOPE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_PRECISION_SCOPE_H_

#include <c10/core/Device.h>

#include "absl/status/status.h"
#include "server/base/precision.h"

namespace stockpot {

// By autocast.
bool IsOf16Bits(Precision precision);

// FAILED_PRECONDITION (reason PRECISION_UNSUPPORTED) where the device does not have it.
absl::Status CheckPrecision(c10::Device device, Precision precision);

class PrecisionScope {
 public:
  // CheckPrecision holds.
  PrecisionScope(c10::Device device, Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  const c10::Device device_;
  const Precision precision_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_PRECISION_SCOPE_H_
