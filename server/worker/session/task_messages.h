// Between the worker protocol's messages and the types of worker/.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_TASK_MESSAGES_H_
#define STOCKPOT_SERVER_WORKER_SESSION_TASK_MESSAGES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/worker/checkpoint/checkpoint_files.h"
#include "server/worker/dataset/transform_preset.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/gap.h"
#include "server/worker/evaluation/score_bar.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// `path` is what the data set's URI was resolved to. Presets and files are not looked at.
DataSetSource ToDataSetSource(const v1::DataSet& data_set, std::string path);
std::optional<TransformPreset> NamedPresetOf(const v1::ImageTransform& transform);
v1::ImageTransform ToImageTransform(const ImageGeometry& geometry);
// How many examples each class has, and the labels of the first.
void AddLabels(const DataSet& data_set, worker::v1::DataSetFound* found);

CheckpointReading ToCheckpointReading(const worker::v1::CheckpointReading& reading);

std::vector<InputBinding> ToInputBindings(
    const google::protobuf::RepeatedPtrField<v1::InputBinding>& inputs);

// INVALID_ARGUMENT for a value this release does not know.
absl::StatusOr<Problem> ToProblem(v1::EvaluationPlan::Problem problem);
absl::StatusOr<Precision> ToPrecision(v1::Compute::Precision precision);

// INVALID_ARGUMENT for a metric this release does not know.
absl::StatusOr<ScoreBar> ToScoreBar(const worker::v1::Bar& bar);

// Nothing: as stored. INVALID_ARGUMENT for a value this release does not know.
absl::StatusOr<std::optional<DType>> ToDType(v1::Output::DType dtype);

// The text itself, or an escaped form where it is not UTF-8: file names need not be.
std::string ToUtf8(absl::string_view text);

worker::v1::TensorSignature ToSignature(const std::string& name, DType dtype,
                                        const std::vector<int64_t>& shape);
void AddSignatures(const std::vector<TensorInfo>& tensors,
                   google::protobuf::RepeatedPtrField<worker::v1::TensorSignature>* out);

// Scores go to `measured`, bits and margins, or outputs, into the bytes that Result.examples
// describes.
std::string EncodeMeasurement(const Measurement& measurement, worker::v1::Measured* measured);

worker::v1::GapFound ToGapFound(const GapTerms& terms);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_TASK_MESSAGES_H_
