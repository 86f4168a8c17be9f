#include "server/worker/evaluation/metrics.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/classification_metrics.h"
#include "server/worker/evaluation/language_metrics.h"
#include "server/worker/evaluation/regression_metrics.h"

namespace stockpot {
namespace {

std::string Describe(LabelKind kind) {
  switch (kind) {
    case LabelKind::kClasses:
      return "integers [N]";
    case LabelKind::kNumbers:
      return "floating-point [N]";
    case LabelKind::kTokens:
      return "integers [N, length]";
  }
  return "";
}

absl::Status Unfit(LabelKind kind, absl::string_view expected) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat(
          "the labels are ", Describe(kind), ", but evaluation.problem takes ", expected,
          ": set the problem that the data set is of, or name another label_tensor")),
      "DATA_SET_INVALID");
}

}  // namespace

absl::Status CheckProblem(Problem problem, const DataSet& data_set) {
  const LabelKind kind = data_set.label_kind();
  switch (problem) {
    case Problem::kClassification:
      if (kind != LabelKind::kClasses) return Unfit(kind, "integers [N] (CLASSIFICATION)");
      break;
    case Problem::kRegression:
      if (kind == LabelKind::kTokens) {
        return Unfit(kind, "integers or floating-point [N] (REGRESSION)");
      }
      break;
    case Problem::kLanguageModel:
      if (kind != LabelKind::kTokens) return Unfit(kind, "integers [N, length] (LANGUAGE_MODEL)");
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(Problem problem, const DataSet& data_set,
                                                         double temperature) {
  RETURN_IF_ERROR(CheckProblem(problem, data_set));
  if (!(temperature > 0) || !std::isfinite(temperature)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the temperature is ", temperature, ": it must be positive"));
  }
  switch (problem) {
    case Problem::kRegression:
      if (temperature == 1) return std::make_unique<RegressionMetrics>(data_set);
      return absl::InvalidArgumentError("a regression has no temperature");
    case Problem::kLanguageModel:
      return std::make_unique<LanguageMetrics>(data_set, temperature);
    case Problem::kClassification:
      break;
  }
  return std::make_unique<ClassificationMetrics>(data_set, temperature);
}

double WeightSum(const DataSet& data_set) {
  double sum = 0;
  for (const double weight : data_set.weights()) sum += weight;
  return sum;
}

absl::StatusOr<Measurement> Runner::Measure(const DataSet& data_set,
                                            const MeasureOptions& options) {
  ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(options.outputs.problem, data_set));
  RETURN_IF_ERROR(
      Run(data_set, options, [&](const OutputBatch& batch) { return metrics->Add(batch); }));
  return metrics->Finish();
}

}  // namespace stockpot
