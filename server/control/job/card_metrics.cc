#include "server/control/job/card_metrics.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace stockpot {
namespace {

std::vector<CardMetric> AllCardMetrics() {
  return {{Metric::kTop1, "accuracy", "Top-1 accuracy", true, {"top1"}},
          {Metric::kTop5, "top_5_accuracy", "Top-5 accuracy", true, {"top5"}},
          {Metric::kCrossEntropy, "cross_entropy", "Cross-entropy", false, {"cross_entropy"}},
          {Metric::kMeanPerClass,
           "balanced_accuracy",
           "Accuracy, mean over the classes",
           true,
           {"mean_per_class"}},
          {Metric::kF1Binary, "f1", "F1", false, {"f1_binary"}},
          {Metric::kF1Macro, "f1", "F1, mean over the classes", false, {"f1_macro"}},
          {Metric::kMatthews, "matthews_correlation", "Matthews correlation", false, {"matthews"}},
          {Metric::kMeanOfAccuracyAndF1,
           "mean_of_accuracy_and_f1",
           "Mean of accuracy and F1",
           false,
           {"top1", "f1_binary"}},
          {Metric::kPearson, "pearsonr", "Pearson correlation", false, {"pearson"}},
          {Metric::kSpearman, "spearmanr", "Spearman correlation", false, {"spearman"}},
          {Metric::kMeanOfPearsonAndSpearman,
           "mean_of_pearsonr_and_spearmanr",
           "Mean of Pearson and Spearman correlation",
           false,
           {"pearson", "spearman"}},
          {Metric::kMeanSquaredError, "mse", "Mean squared error", false, {"mean_squared_error"}},
          {Metric::kPerplexity, "perplexity", "Perplexity", false, {"perplexity"}}};
}

}  // namespace

double CardMetric::ValueOf(const Json& score) const {
  double sum = 0;
  for (const char* field : fields) sum += score.value(field, 0.0);
  return sum / static_cast<double>(fields.size());
}

std::string CardMetric::TextOf(const Json& score) const {
  return is_rate ? absl::StrFormat("%.2f %%", 100 * ValueOf(score))
                 : absl::StrFormat("%.4f", ValueOf(score));
}

std::vector<CardMetric> CardMetricsOf(const std::string& metric, const Json& score) {
  const std::optional<Metric> deciding = MetricOfName(metric);
  std::vector<CardMetric> metrics;
  for (CardMetric& each : AllCardMetrics()) {
    const bool decides = each.metric == deciding;
    // Of a language model's next tokens nobody asks.
    const bool is_accuracy = each.metric == Metric::kTop1 && score.contains("top1") &&
                             !score.contains("perplexity") && deciding != Metric::kTop1;
    if (decides) {
      metrics.insert(metrics.begin(), std::move(each));
    } else if (is_accuracy) {
      metrics.push_back(std::move(each));
    }
  }
  return metrics;
}

}  // namespace stockpot
