#include "server/base/score.h"

#include <gtest/gtest.h>

namespace stockpot {
namespace {

TEST(Score, IsOfWeightsWhereThereAreSome) {
  Score score;
  score.example_count = 4;
  score.top1_correct = 1;
  score.top5_correct = 2;
  score.cross_entropy_sum = score.squared_error_sum = 6;
  EXPECT_EQ(MetricValue(Metric::kTop1, score), 0.25);
  EXPECT_EQ(MetricValue(Metric::kTop5, score), 0.5);
  EXPECT_EQ(MetricValue(Metric::kCrossEntropy, score), 1.5);
  EXPECT_EQ(DecidingNumber(Metric::kTop1, score), 1);
  score.weight_sum = 8;
  score.top1_weight = 6;
  score.top5_weight = 7;
  EXPECT_EQ(MetricValue(Metric::kTop1, score), 0.75);
  EXPECT_EQ(MetricValue(Metric::kTop5, score), 0.875);
  EXPECT_EQ(MetricValue(Metric::kCrossEntropy, score), 0.75);
  EXPECT_EQ(MetricValue(Metric::kMeanSquaredError, score), 0.75);
  EXPECT_EQ(DecidingNumber(Metric::kTop1, score), 6);
  EXPECT_EQ(DecidingNumber(Metric::kTop5, score), 7);
}

}  // namespace
}  // namespace stockpot
