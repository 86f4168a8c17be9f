// The opened ingredients of a blend. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_
#define STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/session/sources.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

struct BlendSource {
  std::vector<std::shared_ptr<const StateDict>> ingredients;
  std::vector<double> coefficients;
  std::optional<DType> dtype;
};

// Opens every ingredient, checks its digest, and that all can be averaged. `progress` is told of
// each checkpoint that has to be read, counting from 0 again.
// Errors: as Sources::OpenCheckpoint, CheckCompatible; INVALID_ARGUMENT no ingredients or another
// number of coefficients.
absl::StatusOr<BlendSource> OpenBlend(const worker::v1::Blend& blend, Sources* sources,
                                      const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_
