#include "server/worker/evaluation/temperature.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

absl::Status Always() { return absl::OkStatus(); }

double Fit(const std::vector<float>& logits, int64_t classes, const std::vector<int64_t>& labels) {
  const auto found = FitTemperature({logits, classes, labels}, Always);
  EXPECT_TRUE(found.ok()) << found.status();
  return found.value_or(-1);
}

TEST(FitTemperature, IsExactWhereItIsKnown) {
  // Four times the logits (z, 0), of which three have label 0: sigmoid(z / T) = 3/4.
  for (const float z : {0.01f, 0.5f, 1.0f, 20.0f, 1000.0f}) {
    const double expected = z / std::log(3.0);
    EXPECT_NEAR(Fit({z, 0, z, 0, z, 0, z, 0}, 2, {0, 0, 1, 0}) / expected, 1, 1e-14) << z;
    // A class that cannot be changes nothing.
    EXPECT_NEAR(Fit({z, 0, -kInfinity, z, 0, -kInfinity, z, 0, -kInfinity, z, 0, -kInfinity}, 3,
                    {0, 0, 1, 0}) /
                    expected,
                1, 1e-14)
        << z;
  }
}

TEST(FitTemperature, GivesTheLeastCrossEntropy) {
  std::vector<float> logits;
  std::vector<int64_t> labels;
  for (int i = 0; i < 50; ++i) {
    for (int c = 0; c < 4; ++c) logits.push_back(5 * std::sin(static_cast<float>(i * 4 + c)));
    // Right in three of four cases.
    const float* row = logits.data() + i * 4;
    labels.push_back(i % 4 == 0 ? i / 4 % 4 : std::max_element(row, row + 4) - row);
  }
  const LabelledLogits all{logits, 4, labels};
  const double temperature = Fit(logits, 4, labels);
  const double least = MeanCrossEntropy(all, 1 / temperature);
  for (const double factor : {0.5, 0.999, 1.001, 2.0}) {
    EXPECT_GT(MeanCrossEntropy(all, factor / temperature), least) << factor;
  }
  EXPECT_EQ(Fit(logits, 4, labels), temperature) << "the same bits again";
}

TEST(FitTemperature, EndsAtItsBounds) {
  EXPECT_NEAR(Fit({0.1f, 0}, 2, {0}), kLeastTemperature, 1e-12) << "always right";
  EXPECT_NEAR(Fit({0.1f, 0}, 2, {1}), kLargestTemperature, 1e-6) << "always wrong";
  EXPECT_EQ(Fit({3, 3}, 2, {1}), 1) << "all temperatures do as well";
}

TEST(FitTemperature, RefusesWhatIsNotFinite) {
  for (const float bad : {kInfinity, std::nanf("")}) {
    const std::vector<float> logits = {0, bad};
    const std::vector<int64_t> labels = {0};
    const auto found = FitTemperature({logits, 2, labels}, Always);
    EXPECT_EQ(GetErrorFacts(found.status()).reason, "NON_FINITE_OUTPUT") << found.status();
  }
}

TEST(FitTemperature, EndsWhenItIsToldTo) {
  const std::vector<float> logits = {1, 0, 1, 0, 1, 0};
  const std::vector<int64_t> labels = {0, 1, 0};
  int asked = 0;
  const auto found = FitTemperature({logits, 2, labels}, [&] {
    return ++asked == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(found.status())) << found.status();
  EXPECT_EQ(asked, 2);
}

TEST(MeanCrossEntropy, IsOfScaledLogits) {
  const std::vector<float> logits = {1, 0, 0, 2};
  const std::vector<int64_t> labels = {0, 0};
  EXPECT_DOUBLE_EQ(MeanCrossEntropy({logits, 2, labels}, 3),
                   (std::log1p(std::exp(-3.0)) + std::log1p(std::exp(6.0))) / 2);
}

}  // namespace
}  // namespace stockpot
