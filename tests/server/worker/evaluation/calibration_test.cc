#include "server/worker/evaluation/calibration.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace stockpot {
namespace {

std::string Bits(const std::vector<bool>& correct) {
  std::string bits((correct.size() + 7) / 8, '\0');
  for (size_t i = 0; i < correct.size(); ++i) {
    if (correct[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << i % 8);
  }
  return bits;
}

TEST(Ece, OfNoExamplesIsZero) {
  EXPECT_EQ(EqualMassEce({}, ""), 0);
  EXPECT_EQ(EqualWidthEce({}, ""), 0);
}

TEST(Ece, OfWhatIsPerfectlyCalibratedIsZero) {
  // In each bin of 4 examples confidence and accuracy are 1/4, 1/2, …: exact in binary.
  std::vector<double> confidences;
  std::vector<bool> correct;
  for (int bin = 0; bin < 15; ++bin) {
    const int right = 1 + bin * 4 / 15;
    for (int i = 0; i < 4; ++i) {
      confidences.push_back(right / 4.0);
      correct.push_back(i < right);
    }
  }
  EXPECT_EQ(EqualMassEce(confidences, Bits(correct)), 0);
  EXPECT_EQ(EqualWidthEce(confidences, Bits(correct)), 0);
}

TEST(Ece, OfOneExampleIsItsDistance) {
  EXPECT_DOUBLE_EQ(EqualMassEce({0.75}, Bits({true})), 0.25);
  EXPECT_DOUBLE_EQ(EqualWidthEce({0.75}, Bits({false})), 0.75);
}

TEST(Ece, FirstBinsOfEqualMassTakeOneMore) {
  // 17 examples: two bins of two, thirteen of one. Confidences rise; only the first two are not 1.
  std::vector<double> confidences(17, 1.0);
  std::vector<bool> correct(17, true);
  confidences[0] = 0.25;
  confidences[1] = 0.75;
  correct[0] = false;  // a bin with mean 0.5 and accuracy 0.5
  EXPECT_DOUBLE_EQ(EqualMassEce(confidences, Bits(correct)), 0);
  // The same in other places: the order is by confidence.
  std::swap(confidences[0], confidences[16]);
  EXPECT_DOUBLE_EQ(EqualMassEce(confidences, Bits(correct)), (1.0 + 1.0) / 17)
      << "two right of confidences 1/4 and 3/4; then one right of two that are sure";
}

TEST(Ece, EqualConfidencesKeepTheExamplesOrder) {
  // 30 examples of confidence 1/2, bins of two neighbours: right, wrong, right, wrong … is
  // calibrated, fifteen right and then fifteen wrong is not.
  const std::vector<double> confidences(30, 0.5);
  std::vector<bool> alternating(30), halves(30);
  for (size_t i = 0; i < 30; ++i) {
    alternating[i] = i % 2 == 0;
    halves[i] = i < 15;
  }
  EXPECT_EQ(EqualMassEce(confidences, Bits(alternating)), 0);
  EXPECT_DOUBLE_EQ(EqualMassEce(confidences, Bits(halves)), 14 * 1.0 / 30)
      << "of the middle bin one is right";
  EXPECT_EQ(EqualWidthEce(confidences, Bits(halves)), 0) << "all in one bin";
}

TEST(Ece, EdgesBelongToTheLowerBinOfEqualWidth) {
  // 1/15 and 2/15 are in bins 0 and 1. In one bin they would make up for each other.
  const double low = 1.0 / 15, high = 2.0 / 15;
  EXPECT_DOUBLE_EQ(EqualWidthEce({low, high}, Bits({true, false})), ((1 - low) + high) / 2);
  const double middle = 1.5 / 15;
  EXPECT_DOUBLE_EQ(EqualWidthEce({middle, high}, Bits({true, false})), (1 - middle - high) / 2);
  EXPECT_DOUBLE_EQ(EqualWidthEce({1.0, 14.5 / 15}, Bits({true, false})), (14.5 / 15) / 2);
}

}  // namespace
}  // namespace stockpot
