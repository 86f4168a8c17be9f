// The opened ingredients of a blend. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_
#define STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/session/sources.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

struct BlendSource {
  std::vector<std::shared_ptr<const StateDict>> ingredients;  // the selection's views
  std::vector<double> coefficients;
  std::optional<DType> dtype;
  TensorSelection selection = {};
};

// Opens the base, and checks that there is what is to come from it.
absl::StatusOr<TensorSelection> OpenSelection(const worker::v1::TensorSelection& selection,
                                              Sources* sources, const Progress& progress);

// Opens every checkpoint, checks its digest, and that all can be averaged once `selection` is made.
// `progress` is told of each checkpoint that has to be read, counting from 0 again.
// Errors: as Sources::OpenCheckpoint, CheckCompatible; INVALID_ARGUMENT no ingredients.
absl::StatusOr<std::vector<std::shared_ptr<const StateDict>>> OpenIngredients(
    const google::protobuf::RepeatedPtrField<worker::v1::CheckpointReference>& references,
    const TensorSelection& selection, const worker::v1::CheckpointReading& reading,
    Sources* sources, const Progress& progress);

// Both of the above. Errors: theirs, and those of CheckCoefficients.
absl::StatusOr<BlendSource> OpenBlend(const worker::v1::Blend& blend, Sources* sources,
                                      const Progress& progress);

// The blend with these tensors in place of its own, or beside them.
BlendSource WithTensors(BlendSource blend, std::vector<TensorValue> tensors);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_BLEND_SOURCE_H_
