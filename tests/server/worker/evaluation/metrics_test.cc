#include "server/worker/evaluation/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Measurement Count(const std::vector<float>& logits, int64_t classes,
                  const std::vector<int64_t>& labels) {
  MetricsAccumulator metrics(static_cast<int64_t>(labels.size()));
  EXPECT_TRUE(metrics.Add(logits, classes, labels).ok());
  return metrics.measurement();
}

TEST(Metrics, CountsWhatIsLargest) {
  const Measurement found = Count({1, 3, 2, 9, 0, 1}, 3, {1, 2});
  EXPECT_EQ(found.example_count, 2);
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.top5_correct, 2) << "below six classes every label is among five";
  EXPECT_EQ(found.correct_bits, std::string("\1", 1));
  EXPECT_THAT(found.margins, testing::ElementsAre(1.0f, -8.0f));
}

TEST(Metrics, FirstOfEqualLogitsWinsAsArgmaxHasIt) {
  EXPECT_EQ(Count({2, 2, 2}, 3, {0}).top1_correct, 1);
  EXPECT_EQ(Count({2, 2, 2}, 3, {1}).top1_correct, 0);
  EXPECT_EQ(Count({2, 2, 2}, 3, {2}).top1_correct, 0);
  EXPECT_EQ(Count({0.0f, -0.0f}, 2, {1}).top1_correct, 0);
  EXPECT_EQ(Count({1, 2, 2}, 3, {1}).margins[0], 0.0f);
}

TEST(Metrics, TopFiveRanksEqualLogitsByIndex) {
  const std::vector<float> equal(7, 1.0f);
  EXPECT_EQ(Count(equal, 7, {4}).top5_correct, 1);
  EXPECT_EQ(Count(equal, 7, {5}).top5_correct, 0);
  EXPECT_EQ(Count({6, 5, 4, 3, 2, 1}, 6, {4}).top5_correct, 1);
  EXPECT_EQ(Count({6, 5, 4, 3, 2, 1}, 6, {5}).top5_correct, 0);
}

TEST(Metrics, CrossEntropyIsExactForHugeLogits) {
  EXPECT_DOUBLE_EQ(Count({0, 0}, 2, {0}).cross_entropy_sum, std::log(2.0));
  EXPECT_DOUBLE_EQ(Count({1e30f, 1e30f}, 2, {1}).cross_entropy_sum, std::log(2.0));
  EXPECT_DOUBLE_EQ(Count({-1e30f, 0}, 2, {1}).cross_entropy_sum, 0.0);
  EXPECT_NEAR(Count({1, 2, 3}, 3, {0}).cross_entropy_sum, 2.4076059644443806, 1e-15);
}

TEST(Metrics, MaskedClassesMayBeMinusInfinity) {
  const Measurement found = Count({5, -kInfinity}, 2, {0});
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.cross_entropy_sum, 0.0);
}

TEST(Metrics, BatchesAddUpToTheWhole) {
  std::vector<float> logits;
  std::vector<int64_t> labels;
  for (int i = 0; i < 21; ++i) {
    for (int c = 0; c < 6; ++c) logits.push_back(std::sin(static_cast<float>(i * 6 + c)));
    labels.push_back(i % 6);
  }
  const Measurement whole = Count(logits, 6, labels);
  MetricsAccumulator metrics(21);
  const absl::Span<const float> all(logits);
  const absl::Span<const int64_t> all_labels(labels);
  for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 3}, {3, 11}, {14, 7}}) {
    ASSERT_TRUE(
        metrics.Add(all.subspan(first * 6, count * 6), 6, all_labels.subspan(first, count)).ok());
  }
  const Measurement& parts = metrics.measurement();
  EXPECT_EQ(parts.top1_correct, whole.top1_correct);
  EXPECT_EQ(parts.top5_correct, whole.top5_correct);
  EXPECT_EQ(parts.cross_entropy_sum, whole.cross_entropy_sum);
  EXPECT_EQ(parts.correct_bits, whole.correct_bits);
  EXPECT_EQ(parts.margins, whole.margins);
  EXPECT_EQ(whole.correct_bits.size(), 3u);
}

TEST(Metrics, NotFiniteLogitsNameTheExample) {
  for (const float bad : {kNan, kInfinity}) {
    MetricsAccumulator metrics(2);
    const absl::Status status =
        metrics.Add(std::vector<float>{0, 1, bad, 1}, 2, std::vector<int64_t>{0, 1});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(GetErrorFacts(status).reason, "NON_FINITE_OUTPUT");
    EXPECT_EQ(GetErrorFacts(status).metadata["example"], "1");
  }
  MetricsAccumulator metrics(1);
  EXPECT_FALSE(metrics.Add(std::vector<float>{-kInfinity, 0}, 2, std::vector<int64_t>{0}).ok());
}

TEST(Metrics, LabelsBeyondTheLogitsNameExampleAndLabel) {
  for (const int64_t label : {int64_t{2}, int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
    MetricsAccumulator metrics(1);
    const absl::Status status =
        metrics.Add(std::vector<float>{0, 1}, 2, std::vector<int64_t>{label});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorFacts(status).reason, "LABEL_OUT_OF_RANGE");
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::to_string(label)));
  }
}

TEST(Metrics, OneClassHasNoOther) {
  const Measurement found = Count({3}, 1, {0});
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.margins[0], kInfinity);
}

}  // namespace
}  // namespace stockpot
