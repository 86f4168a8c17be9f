#include "server/worker/evaluation/regression_metrics.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/statistics.h"
#include "server/base/status.h"
#include "server/worker/evaluation/logit_scores.h"

namespace stockpot {

absl::Status RegressionMetrics::Add(const OutputBatch& batch) {
  for (const float output : batch.values) {
    if (!std::isfinite(output)) {
      const int64_t example = measurement_.example_count;
      return AtExample(
          absl::DataLossError(absl::StrCat("the output of example ", example, " is not finite")),
          "NON_FINITE_OUTPUT", example);
    }
    measurement_.outputs.push_back(output);
    ++measurement_.example_count;
  }
  return absl::OkStatus();
}

Measurement RegressionMetrics::Finish() {
  const std::vector<double> outputs(measurement_.outputs.begin(), measurement_.outputs.end());
  const std::vector<double> targets =
      data_set_.label_kind() == LabelKind::kNumbers
          ? std::vector<double>(data_set_.targets().begin(), data_set_.targets().end())
          : std::vector<double>(data_set_.labels().begin(), data_set_.labels().end());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double error = outputs[i] - targets[i];
    measurement_.squared_error_sum += error * error;
  }
  measurement_.pearson = PearsonCorrelation(outputs, targets);
  measurement_.spearman = SpearmanCorrelation(outputs, targets);
  return std::move(measurement_);
}

}  // namespace stockpot
