#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/recipe/task.h"

namespace stockpot {
namespace {

std::vector<TensorSignature> ReadTensors(JsonReader& reader) {
  std::vector<TensorSignature> tensors;
  for (JsonReader& item : reader.List("tensors")) {
    TensorSignature tensor;
    item.Read("name", &tensor.name);
    item.Read("dtype", &tensor.dtype);
    item.Read("shape", &tensor.shape);
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSignature& a, const TensorSignature& b) { return a.name < b.name; });
  return tensors;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InternalError(absl::StrCat("a worker's result is malformed: ", what));
}

// Opens the member a fact of this kind must have.
absl::StatusOr<JsonReader> Open(const Fact& fact, const std::string& member) {
  RETURN_IF_ERROR(fact.status);
  if (!fact.result.is_object() || !fact.result.contains(member)) {
    return Malformed(absl::StrCat("it has no '", member, "'"));
  }
  return JsonReader(fact.result.at(member), member);
}

absl::Status Checked(const JsonReader& reader) {
  return reader.violations().empty() ? absl::OkStatus() : Malformed(reader.status().message());
}

// What names content must be there: an empty digest would make different contents equal.
absl::Status Checked(const JsonReader& reader, const std::string& digest) {
  RETURN_IF_ERROR(Checked(reader));
  return digest.empty() ? Malformed("it has no digest") : absl::OkStatus();
}

std::string ShapeText(const TensorSignature& tensor) {
  return absl::StrCat(tensor.dtype, " [", absl::StrJoin(tensor.shape, ", "), "]");
}

absl::Status Mismatch(const std::string& tensor, const std::string& message) {
  return WithMetadata(WithReason(absl::InvalidArgumentError(message), "CHECKPOINT_MISMATCH"),
                      "tensor", tensor);
}

}  // namespace

absl::StatusOr<CheckpointFound> ReadCheckpointFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "checkpoint"));
  CheckpointFound found;
  reader.Read("digest", &found.digest);
  reader.Read("format", &found.format);
  reader.Read("non_finite_tensor", &found.non_finite_tensor);
  reader.Read("notes", &found.notes);
  found.tensors = ReadTensors(reader);
  RETURN_IF_ERROR(Checked(reader, found.digest));
  return found;
}

absl::StatusOr<ArchitectureFound> ReadArchitectureFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "architecture"));
  ArchitectureFound found;
  reader.Read("digest", &found.digest);
  reader.Read("numerics", &found.numerics);
  reader.Read("buffers", &found.buffers);
  found.tensors = ReadTensors(reader);
  RETURN_IF_ERROR(Checked(reader, found.digest));
  return found;
}

absl::StatusOr<DataSetFound> ReadDataSetFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "data_set"));
  DataSetFound found;
  reader.Read("digest", &found.digest);
  reader.Read("example_count", &found.example_count);
  reader.Read("class_count", &found.class_count);
  RETURN_IF_ERROR(Checked(reader, found.digest));
  return found;
}

absl::StatusOr<Score> ReadScore(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "measured"));
  Score score;
  reader.Read("example_count", &score.example_count);
  reader.Read("top1_correct", &score.top1_correct);
  reader.Read("top5_correct", &score.top5_correct);
  reader.Read("cross_entropy_sum", &score.cross_entropy_sum);
  RETURN_IF_ERROR(Checked(reader));
  auto in_range = [&](int64_t count) { return count >= 0 && count <= score.example_count; };
  if (score.example_count <= 0 || !in_range(score.top1_correct) || !in_range(score.top5_correct)) {
    return Malformed("its counts are out of range");
  }
  if (!std::isfinite(score.cross_entropy_sum)) {
    return WithReason(absl::DataLossError("the cross-entropy is not finite"), "NON_FINITE_OUTPUT");
  }
  return score;
}

absl::StatusOr<SoupFound> ReadSoupFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "soup"));
  SoupFound found;
  reader.Read("content_digest", &found.content_digest);
  for (JsonReader& item : reader.List("files")) {
    SoupFile file;
    item.Read("file", &file.file);
    item.Read("size_bytes", &file.size_bytes);
    item.Read("sha256", &file.sha256);
    found.files.push_back(std::move(file));
  }
  RETURN_IF_ERROR(Checked(reader));
  return found;
}

absl::StatusOr<int64_t> ReadEndBudget(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "end_budget"));
  int64_t evaluations = 0;
  reader.Read("evaluations", &evaluations);
  RETURN_IF_ERROR(Checked(reader));
  if (evaluations < 1) return Malformed("a budget of no evaluations");
  return evaluations;
}

absl::Status CheckFits(const CheckpointFound& checkpoint, const ArchitectureFound& architecture,
                       const CheckpointFound* first) {
  std::map<std::string, const TensorSignature*> present;
  for (const TensorSignature& tensor : checkpoint.tensors) present[tensor.name] = &tensor;
  const std::set<std::string> buffers(architecture.buffers.begin(), architecture.buffers.end());
  std::set<std::string> known;
  for (const TensorSignature& expected : architecture.tensors) {
    known.insert(expected.name);
    auto found = present.find(expected.name);
    if (found == present.end()) {
      if (buffers.count(expected.name) > 0) continue;
      return Mismatch(expected.name, absl::StrCat("tensor '", expected.name,
                                                  "' is missing; the architecture has it as ",
                                                  ShapeText(expected)));
    }
    if (found->second->shape != expected.shape) {
      return Mismatch(expected.name,
                      absl::StrCat("tensor '", expected.name, "': ", ShapeText(*found->second),
                                   ", but the architecture expects ", ShapeText(expected)));
    }
  }
  for (const TensorSignature& tensor : checkpoint.tensors) {
    if (known.count(tensor.name) == 0) {
      return Mismatch(tensor.name,
                      absl::StrCat("tensor '", tensor.name, "' is not in the architecture"));
    }
  }
  if (first != nullptr && !(checkpoint.tensors == first->tensors)) {
    // Names and shapes agree with the architecture, so a dtype or an optional buffer is at fault.
    std::map<std::string, const TensorSignature*> others;
    for (const TensorSignature& tensor : first->tensors) others[tensor.name] = &tensor;
    for (const TensorSignature& tensor : checkpoint.tensors) {
      auto other = others.find(tensor.name);
      if (other == others.end()) {
        return Mismatch(tensor.name,
                        absl::StrCat("tensor '", tensor.name, "' is not in the first ingredient"));
      }
      if (!(*other->second == tensor)) {
        return Mismatch(tensor.name,
                        absl::StrCat("tensor '", tensor.name, "': ", ShapeText(tensor),
                                     ", but the first ingredient has ", ShapeText(*other->second)));
      }
      others.erase(other);
    }
    return Mismatch(others.begin()->first,
                    absl::StrCat("tensor '", others.begin()->first,
                                 "' is missing; the first ingredient has it"));
  }
  if (!checkpoint.non_finite_tensor.empty()) {
    return WithMetadata(
        WithReason(absl::InvalidArgumentError(absl::StrCat("tensor '", checkpoint.non_finite_tensor,
                                                           "' holds NaN or infinity")),
                   "CHECKPOINT_NOT_FINITE"),
        "tensor", checkpoint.non_finite_tensor);
  }
  return absl::OkStatus();
}

}  // namespace stockpot
