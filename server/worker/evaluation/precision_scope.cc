#include "server/worker/evaluation/precision_scope.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// The settings that torch_device.cc begins with are those of `allowed` false.
void AllowTf32(bool allowed) {
  at::globalContext().setFloat32MatmulPrecision(allowed ? "high" : "highest");
  at::globalContext().setAllowTF32CuDNN(allowed);
}

}  // namespace

bool IsOf16Bits(Precision precision) {
  return precision == Precision::kBFloat16 || precision == Precision::kFloat16;
}

absl::Status CheckPrecision(c10::Device device, Precision precision) {
  if (precision != Precision::kTf32 || device.is_cuda()) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "precision TF32 is for NVIDIA cards, but the model runs on ", device.str(),
                        ": leave compute.precision out there, or take BFLOAT16")),
                    "PRECISION_UNSUPPORTED");
}

PrecisionScope::PrecisionScope(c10::Device device, Precision precision)
    : device_(device), precision_(precision) {
  if (precision == Precision::kTf32) AllowTf32(true);
  if (!IsOf16Bits(precision)) return;
  at::autocast::set_autocast_dtype(device.type(),
                                   precision == Precision::kFloat16 ? at::kHalf : at::kBFloat16);
  at::autocast::set_autocast_enabled(device.type(), true);
}

PrecisionScope::~PrecisionScope() {
  if (precision_ == Precision::kTf32) AllowTf32(false);
  if (!IsOf16Bits(precision_)) return;
  at::autocast::set_autocast_enabled(device_.type(), false);
  at::autocast::clear_cache();  // of cast weights, which the next blend changes
}

}  // namespace stockpot
