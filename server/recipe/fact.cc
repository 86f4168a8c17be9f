#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/class_scores.h"
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

}  // namespace

absl::StatusOr<CheckpointFound> ReadCheckpointFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "checkpoint"));
  CheckpointFound found;
  reader.Read("digest", &found.digest);
  reader.Read("format", &found.format);
  reader.Read("non_finite_tensor", &found.non_finite_tensor);
  reader.Read("notes", &found.notes);
  reader.Read("pinned_uri", &found.pinned_uri);
  reader.Read("is_adapter", &found.is_adapter);
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
  reader.Read("batch_norms", &found.batch_norms);
  reader.Read("pinned_uri", &found.pinned_uri);
  for (JsonReader& item : reader.List("ties")) item.Read("names", &found.ties.emplace_back());
  found.tensors = ReadTensors(reader);
  RETURN_IF_ERROR(Checked(reader, found.digest));
  return found;
}

absl::StatusOr<DataSetFound> ReadDataSetFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "data_set"));
  DataSetFound found;
  reader.Read("digest", &found.digest);
  reader.Read("pinned_uri", &found.pinned_uri);
  reader.Read("example_count", &found.example_count);
  reader.Read("class_count", &found.class_count);
  reader.Read("scale_to_unit", &found.scale_to_unit);
  reader.Read("mean", &found.mean);
  reader.Read("standard_deviation", &found.standard_deviation);
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
  reader.Read("squared_error_sum", &score.squared_error_sum);
  reader.Read("weight_sum", &score.weight_sum);
  reader.Read("top1_weight", &score.top1_weight);
  reader.Read("top5_weight", &score.top5_weight);
  reader.Read("pearson", &score.pearson);
  reader.Read("spearman", &score.spearman);
  reader.Read("ece_equal_mass", &score.ece_equal_mass);
  reader.Read("ece_equal_width", &score.ece_equal_width);
  reader.Read("temperature", &score.temperature);
  std::vector<int64_t> labels, predicted, correct;
  reader.Read("label_counts", &labels);
  reader.Read("predicted_counts", &predicted);
  reader.Read("correct_counts", &correct);
  RETURN_IF_ERROR(Checked(reader));
  auto in_range = [&](int64_t count) { return count >= 0 && count <= score.example_count; };
  if (score.example_count <= 0 || !in_range(score.top1_correct) || !in_range(score.top5_correct)) {
    return Malformed("its counts are out of range");
  }
  if (labels.size() != predicted.size() || labels.size() != correct.size()) {
    return Malformed("its counts by class are of different numbers of classes");
  }
  for (const double value :
       {score.cross_entropy_sum, score.squared_error_sum, score.pearson, score.spearman,
        score.temperature, score.weight_sum, score.top1_weight, score.top5_weight}) {
    if (std::isfinite(value)) continue;
    return WithReason(absl::DataLossError("a score is not finite"), "NON_FINITE_OUTPUT");
  }
  const ClassScores classes = ScoreClasses(labels, predicted, correct);
  score.mean_per_class = classes.mean_per_class;
  score.f1_binary = classes.f1_binary;
  score.f1_macro = classes.f1_macro;
  score.matthews = classes.matthews;
  return score;
}

absl::StatusOr<MeasureCost> ReadMeasureCost(const Fact& fact) {
  if (fact.status.ok() && fact.result.contains("not_better")) {
    ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "not_better"));
    int64_t examples = 0;
    MeasureCost cost;
    reader.Read("example_count", &examples);
    reader.Read("examples_evaluated", &cost.examples_evaluated);
    RETURN_IF_ERROR(Checked(reader));
    cost.examples_spared = examples - cost.examples_evaluated;
    if (cost.examples_evaluated < 0 || cost.examples_spared < 0) {
      return Malformed("its counts are out of range");
    }
    return cost;
  }
  ASSIGN_OR_RETURN(const Score score, ReadScore(fact));
  return MeasureCost{score.example_count, 0};
}

absl::StatusOr<ClassifierFound> ReadClassifierFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "classifier"));
  ClassifierFound found;
  reader.Read("digest", &found.digest);
  reader.Read("pinned_uri", &found.pinned_uri);
  reader.Read("class_count", &found.class_count);
  RETURN_IF_ERROR(Checked(reader, found.digest));
  return found;
}

absl::StatusOr<std::vector<std::string>> ReadSourcesListed(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "sources"));
  std::vector<std::string> uris;
  reader.Read("uris", &uris);
  RETURN_IF_ERROR(Checked(reader));
  if (uris.empty()) return Malformed("it lists nothing");
  return uris;
}

absl::StatusOr<GapFound> ReadGapFound(const Fact& fact) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "gap"));
  GapFound found;
  const std::pair<const char*, double*> kFields[] = {
      {"inverse_temperature", &found.inverse_temperature},
      {"soup_loss", &found.soup_loss},
      {"ensemble_loss", &found.ensemble_loss},
      {"second_derivative", &found.second_derivative},
      {"variance", &found.variance},
      {"approximation", &found.approximation}};
  for (const auto& [name, value] : kFields) {
    reader.Read(name, value);
    if (!std::isfinite(*value)) return Malformed(absl::StrCat(name, " is not finite"));
  }
  RETURN_IF_ERROR(Checked(reader));
  return found;
}

absl::StatusOr<std::vector<double>> ReadInnerProducts(const Fact& fact, size_t count) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "weights"));
  std::vector<double> products;
  reader.Read("inner_products", &products);
  RETURN_IF_ERROR(Checked(reader));
  if (products.size() != count * count) return Malformed("inner products are missing");
  return products;
}

absl::StatusOr<LearnedCoefficients> ReadLearned(const Fact& fact, size_t count) {
  ASSIGN_OR_RETURN(JsonReader reader, Open(fact, "coefficients"));
  LearnedCoefficients learned;
  reader.Read("state", &learned.state);
  reader.Read("coefficients", &learned.coefficients);
  reader.Read("temperature", &learned.temperature);
  reader.Read("mean_loss", &learned.mean_loss);
  RETURN_IF_ERROR(Checked(reader));
  if (learned.coefficients.empty() || learned.coefficients.size() % count != 0) {
    return Malformed("its coefficients are not of the ingredients");
  }
  for (const double coefficient : learned.coefficients) {
    if (std::isfinite(coefficient)) continue;
    return WithReason(absl::DataLossError("the learned coefficients are not finite: take a "
                                          "smaller learning_rate, or the constraint SOFTMAX"),
                      "NON_FINITE_OUTPUT");
  }
  return learned;
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

}  // namespace stockpot
