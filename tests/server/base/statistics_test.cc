#include "server/base/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace stockpot {
namespace {

TEST(Correlation, OfLinesIsOneOrMinusOne) {
  EXPECT_DOUBLE_EQ(PearsonCorrelation({1, 2, 3}, {-4, 0, 4}), 1);
  EXPECT_DOUBLE_EQ(PearsonCorrelation({1, 2, 3}, {4, 0, -4}), -1);
  EXPECT_DOUBLE_EQ(SpearmanCorrelation({1, 2, 3}, {4, 5, 600}), 1);
  EXPECT_DOUBLE_EQ(SpearmanCorrelation({1, 2, 3}, {7, 5, -600}), -1);
}

TEST(Correlation, IsAsByHand) {
  // Deviations (-1, 0, 1) and (-1, 1, 0): 1 / 2.
  EXPECT_DOUBLE_EQ(PearsonCorrelation({1, 2, 3}, {10, 12, 11}), 0.5);
  // Deviations (-2, 0, 2) and (-1, -1, 2): 6 / sqrt(8 · 6).
  EXPECT_DOUBLE_EQ(PearsonCorrelation({0, 2, 4}, {0, 0, 3}), 6 / std::sqrt(48.0));
}

TEST(Correlation, RanksOfEqualsAreAveraged) {
  // Ranks (0.5, 0.5, 2) and (0, 1, 2): deviations (-.5, -.5, 1) and (-1, 0, 1): 1.5 / sqrt(1.5 ·
  // 2).
  EXPECT_DOUBLE_EQ(SpearmanCorrelation({3, 3, 9}, {1, 2, 8}), 1.5 / std::sqrt(3.0));
}

TEST(Correlation, OfWhatIsConstantIsZero) {
  const std::vector<double> tenth(7, 0.1);  // whose sum is not 0.7
  const std::vector<double> other = {1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(PearsonCorrelation(tenth, other), 0);
  EXPECT_EQ(PearsonCorrelation(other, tenth), 0);
  EXPECT_EQ(SpearmanCorrelation(tenth, other), 0);
  EXPECT_EQ(PearsonCorrelation({5}, {6}), 0);
  EXPECT_EQ(PearsonCorrelation({}, {}), 0);
}

TEST(Correlation, LargeAndSmallNumbersDoNotOverflow) {
  EXPECT_DOUBLE_EQ(PearsonCorrelation({1e100, 2e100, 3e100}, {1e100, 3e100, 5e100}), 1);
  EXPECT_DOUBLE_EQ(PearsonCorrelation({1e-100, 2e-100, 3e-100}, {1e-100, 3e-100, 5e-100}), 1);
}

}  // namespace
}  // namespace stockpot
