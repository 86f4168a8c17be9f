#include "server/worker/evaluation/regression_metrics.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/statistics.h"
#include "server/base/status.h"
#include "server/worker/evaluation/logit_scores.h"

namespace stockpot {

double TargetOf(const DataSet& data_set, int64_t example) {
  const auto index = static_cast<size_t>(example);
  return data_set.label_kind() == LabelKind::kNumbers
             ? data_set.targets()[index]
             : static_cast<double>(data_set.labels()[index]);
}

RegressionMetrics::RegressionMetrics(const DataSet& data_set)
    : data_set_(data_set), examples_(static_cast<size_t>(data_set.size())) {}

absl::Status RegressionMetrics::Add(const OutputBatch& batch) {
  for (size_t i = 0; i < batch.values.size(); ++i) {
    const int64_t example = ExampleOf(batch, i);
    const float output = batch.values[i];
    if (!std::isfinite(output)) {
      return AtExample(
          absl::DataLossError(absl::StrCat("the output of example ", example, " is not finite")),
          "NON_FINITE_OUTPUT", example);
    }
    examples_[static_cast<size_t>(example)] = {output, true};
    const double error = output - TargetOf(data_set_, example);
    squared_error_sum_ += WeightOf(data_set_, example) * (error * error);
  }
  return absl::OkStatus();
}

Score RegressionMetrics::BestReachable() const {
  Score best;
  best.example_count = data_set_.size();
  best.squared_error_sum = SmallestSum(squared_error_sum_, data_set_.size());
  best.weight_sum = WeightSum(data_set_);
  best.pearson = best.spearman = kUnbounded;
  return best;
}

Measurement RegressionMetrics::Finish() {
  Measurement found;
  std::vector<double> outputs, targets;
  for (size_t i = 0; i < examples_.size(); ++i) {
    if (!examples_[i].added) continue;
    const float output = examples_[i].output;
    found.outputs.push_back(output);
    outputs.push_back(output);
    targets.push_back(TargetOf(data_set_, static_cast<int64_t>(i)));
    const double error = outputs.back() - targets.back();
    const double weight = WeightOf(data_set_, static_cast<int64_t>(i));
    found.squared_error_sum += weight * (error * error);
    if (!data_set_.weights().empty()) found.weight_sum += weight;
  }
  found.example_count = static_cast<int64_t>(outputs.size());
  found.pearson = PearsonCorrelation(outputs, targets);
  found.spearman = SpearmanCorrelation(outputs, targets);
  return found;
}

}  // namespace stockpot
