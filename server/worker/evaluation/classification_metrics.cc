#include "server/worker/evaluation/classification_metrics.h"

#include <utility>

#include "server/base/class_scores.h"
#include "server/base/status.h"
#include "server/worker/evaluation/calibration.h"

namespace stockpot {
namespace {

// What a square root and a quotient of counts may be off by.
constexpr double kRounding = 1e-12;

std::vector<int32_t> Narrow(const std::vector<int64_t>& counts) {
  return {counts.begin(), counts.end()};
}

}  // namespace

ClassificationMetrics::ClassificationMetrics(const DataSet& data_set, double temperature)
    : data_set_(data_set),
      inverse_temperature_(1 / temperature),
      examples_(static_cast<size_t>(data_set.size())),
      weight_sum_(WeightSum(data_set)) {}

void ClassificationMetrics::CountLabels(size_t classes) {
  for (auto* counts : {&all_labels_, &labels_, &predicted_, &correct_}) counts->resize(classes);
  for (const int64_t label : data_set_.labels()) {
    // What is out of range is an error once it is added.
    if (label >= 0 && label < static_cast<int64_t>(classes)) {
      ++all_labels_[static_cast<size_t>(label)];
    }
  }
}

absl::Status ClassificationMetrics::Add(const OutputBatch& batch) {
  const auto classes = static_cast<size_t>(batch.classes);
  if (all_labels_.empty()) CountLabels(classes);
  std::vector<LabelledRow> rows;
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    const int64_t example = ExampleOf(batch, i);
    rows.push_back({batch.values.subspan(i * classes, classes), LabelOf(example), example});
  }
  ASSIGN_OR_RETURN(const std::vector<LogitScore> scores, ScoreAll(rows, inverse_temperature_));
  for (size_t i = 0; i < rows.size(); ++i) {
    const LogitScore& score = scores[i];
    const int64_t label = rows[i].label;
    examples_[static_cast<size_t>(rows[i].example)] = {score, true};
    ++added_;
    sums_.top1_correct += score.rank == 0;
    sums_.top5_correct += score.rank < 5;
    const double weight = WeightOf(data_set_, rows[i].example);
    sums_.cross_entropy_sum += weight * score.loss;
    top1_wrong_ += score.rank == 0 ? 0 : weight;
    top5_wrong_ += score.rank < 5 ? 0 : weight;
    ++labels_[static_cast<size_t>(label)];
    ++predicted_[score.predicted];
    correct_[score.predicted] += score.rank == 0;
  }
  return absl::OkStatus();
}

Score ClassificationMetrics::BestReachable() const {
  const int64_t left = data_set_.size() - added_;
  Score best;
  best.example_count = data_set_.size();
  best.top1_correct = sums_.top1_correct + left;
  best.top5_correct = sums_.top5_correct + left;
  best.cross_entropy_sum = SmallestSum(sums_.cross_entropy_sum, data_set_.size());
  best.weight_sum = weight_sum_;
  best.top1_weight = LargestSum(weight_sum_, top1_wrong_, data_set_.size());
  best.top5_weight = LargestSum(weight_sum_, top5_wrong_, data_set_.size());
  std::vector<int64_t> predicted = predicted_, correct = correct_;
  for (size_t i = 0; i < all_labels_.size(); ++i) {
    predicted[i] += all_labels_[i] - labels_[i];
    correct[i] += all_labels_[i] - labels_[i];
  }
  const ClassScores scores = ScoreClasses(all_labels_, predicted, correct);
  best.mean_per_class = scores.mean_per_class;
  best.f1_binary = scores.f1_binary;
  best.f1_macro = scores.f1_macro;
  best.matthews = all_labels_.size() == 2 ? scores.matthews + kRounding : kUnbounded;
  return best;
}

Measurement ClassificationMetrics::Finish() {
  Measurement found;
  std::vector<double> confidences;
  confidences.reserve(examples_.size());
  found.margins.reserve(examples_.size());
  const bool weighted = !data_set_.weights().empty();
  for (size_t i = 0; i < examples_.size(); ++i) {
    const Counted& example = examples_[i];
    if (!example.added) continue;
    const double weight = WeightOf(data_set_, static_cast<int64_t>(i));
    AddScore(example.score, &found, weight);
    if (weighted) {
      found.weight_sum += weight;
      found.top1_weight += example.score.rank == 0 ? weight : 0;
      found.top5_weight += example.score.rank < 5 ? weight : 0;
    }
    confidences.push_back(example.score.confidence);
  }
  found.label_counts = Narrow(labels_);
  found.predicted_counts = Narrow(predicted_);
  found.correct_counts = Narrow(correct_);
  found.ece_equal_mass = EqualMassEce(confidences, found.correct_bits);
  found.ece_equal_width = EqualWidthEce(confidences, found.correct_bits);
  return found;
}

}  // namespace stockpot
