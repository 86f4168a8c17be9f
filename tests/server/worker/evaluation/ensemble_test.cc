#include "server/worker/evaluation/ensemble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/worker/evaluation/metrics.h"
#include "server/worker/evaluation/temperature.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

// Logits of three classes with no pattern, for more examples than one block has.
std::vector<float> Waves(size_t examples, float phase) {
  std::vector<float> logits;
  for (size_t i = 0; i < examples * 3; ++i) {
    logits.push_back(std::sin(static_cast<float>(i % 1009) * 1.7f + phase) * 3);
  }
  return logits;
}

std::vector<int64_t> LabelsOf(size_t examples) {
  std::vector<int64_t> labels;
  for (size_t i = 0; i < examples; ++i) labels.push_back(static_cast<int64_t>(i * 7 % 3));
  return labels;
}

std::vector<float> Average(const Ensemble& ensemble) {
  std::vector<float> all;
  const absl::Status status = AverageLogits(ensemble, [&](const OutputBatch& batch) {
    EXPECT_EQ(batch.first * batch.classes, static_cast<int64_t>(all.size()));
    all.insert(all.end(), batch.values.begin(), batch.values.end());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return all;
}

constexpr size_t kMany = 50'000;  // of three classes: more than two blocks

TEST(AverageLogits, OfOneOrOfEqualsIsTheMemberItself) {
  const std::vector<float> member = Waves(kMany, 0.3f);
  for (const size_t times : {1u, 2u, 3u, 7u}) {
    EXPECT_EQ(Average({.members = {times, member}, .coefficients = {}, .classes = 3}), member)
        << times;
  }
  EXPECT_EQ(Average({.members = {member}, .coefficients = {1}, .classes = 3}), member);
}

TEST(AverageLogits, SumsInFloat64AndRoundsOnce) {
  const std::vector<float> a = {1, 2, 1e8f, 3}, b = {3, 5, 1, 0}, c = {5, 2, -1e8f, 0};
  EXPECT_THAT(Average({.members = {a, b, c}, .coefficients = {}, .classes = 2}),
              testing::ElementsAre(3, 3, static_cast<float>(1 / 3.0), 1));
  EXPECT_THAT(Average({.members = {a, b}, .coefficients = {0.25, -0.5}, .classes = 2}),
              testing::ElementsAre(-1.25f, -2, static_cast<float>(0.25e8 - 0.5), 0.75f));
}

TEST(AverageLogits, RefusesWhatDoesNotGoTogether) {
  const std::vector<float> two(2), four(4);
  const auto status = [](const Ensemble& ensemble) {
    return AverageLogits(ensemble, [](const OutputBatch&) { return absl::OkStatus(); });
  };
  EXPECT_TRUE(absl::IsInvalidArgument(status({.members = {}, .coefficients = {}, .classes = 2})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(status({.members = {two}, .coefficients = {1, 2}, .classes = 2})));
  EXPECT_EQ(
      GetErrorFacts(status({.members = {two, four}, .coefficients = {}, .classes = 2})).reason,
      "MODEL_OUTPUT_MISMATCH");
}

void ExpectSame(const Measurement& a, const Measurement& b) {
  EXPECT_EQ(a.example_count, b.example_count);
  EXPECT_EQ(a.top1_correct, b.top1_correct);
  EXPECT_EQ(a.cross_entropy_sum, b.cross_entropy_sum);
  EXPECT_EQ(a.predicted_counts, b.predicted_counts);
  EXPECT_EQ(a.ece_equal_mass, b.ece_equal_mass);
  EXPECT_EQ(a.correct_bits, b.correct_bits);
  EXPECT_EQ(a.margins, b.margins);
  EXPECT_EQ(a.outputs, b.outputs);
  EXPECT_EQ(a.pearson, b.pearson);
}

Measurement Scores(const std::vector<float>& logits, const DataSet& data_set, double temperature) {
  auto metrics = Metrics::Create(Problem::kClassification, data_set, temperature);
  EXPECT_TRUE((*metrics)
                  ->Add({.first = 0,
                         .count = data_set.size(),
                         .examples = {},
                         .classes = 3,
                         .values = logits})
                  .ok());
  return (*metrics)->Finish();
}

TEST(MeasureEnsemble, ScoresAreThoseOfTheAverage) {
  const auto data_set = MemoryDataSet::OfClasses(LabelsOf(kMany));
  const std::vector<float> a = Waves(kMany, 0.1f), b = Waves(kMany, 2.0f);
  const Ensemble ensemble{.members = {a, b}, .coefficients = {0.75, 0.5}, .classes = 3};
  std::vector<int64_t> done;
  const auto found =
      MeasureEnsemble(ensemble, data_set, {.temperature = 2.5}, [&](int64_t now, int64_t total) {
        EXPECT_EQ(total, static_cast<int64_t>(kMany));
        done.push_back(now);
        return absl::OkStatus();
      });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->temperature, 2.5);
  ExpectSame(found->measurement, Scores(Average(ensemble), data_set, 2.5));
  EXPECT_GT(done.size(), 1u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), static_cast<int64_t>(kMany));
}

TEST(MeasureEnsemble, UsesTheTemperatureThatItFits) {
  const auto data_set = MemoryDataSet::OfClasses(LabelsOf(99));
  const std::vector<float> a = Waves(99, 0.1f), b = Waves(99, 2.0f);
  const Ensemble ensemble{.members = {a, b}, .coefficients = {}, .classes = 3};
  const auto found = MeasureEnsemble(ensemble, data_set, {.fit_temperature = true}, Unwatched);
  ASSERT_TRUE(found.ok()) << found.status();
  const std::vector<float> average = Average(ensemble);
  EXPECT_EQ(found->temperature,
            *FitTemperature({average, 3, data_set.labels()}, [] { return absl::OkStatus(); }));
  EXPECT_NE(found->temperature, 1);
  ExpectSame(found->measurement, Scores(average, data_set, found->temperature));
}

TEST(MeasureEnsemble, AveragesTheOutputsOfARegression) {
  const auto data_set = MemoryDataSet::OfNumbers({1, 3});
  const std::vector<float> a = {0, 2}, b = {4, 5};
  const auto found = MeasureEnsemble({.members = {a, b}, .coefficients = {}, .classes = 1},
                                     data_set, {.problem = Problem::kRegression}, Unwatched);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->measurement.outputs, testing::ElementsAre(2, 3.5f));
  EXPECT_EQ(found->measurement.squared_error_sum, 1 + 0.25);
}

TEST(MeasureEnsemble, ErrorsArePassedOn) {
  const auto data_set = MemoryDataSet::OfClasses({0, 5});
  const auto numbers = MemoryDataSet::OfNumbers({0, 5});
  const std::vector<float> logits(6);
  const Ensemble ensemble{.members = {logits}, .coefficients = {}, .classes = 3};
  for (const bool fit : {false, true}) {
    const auto far = MeasureEnsemble(ensemble, data_set, {.fit_temperature = fit}, Unwatched);
    EXPECT_EQ(GetErrorFacts(far.status()).reason, "LABEL_OUT_OF_RANGE") << far.status();
  }
  const auto cancel = [](int64_t, int64_t) { return absl::CancelledError("enough"); };
  const auto near = MemoryDataSet::OfClasses({0, 1});
  for (const bool fit : {false, true}) {
    EXPECT_TRUE(absl::IsCancelled(
        MeasureEnsemble(ensemble, near, {.fit_temperature = fit}, cancel).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      MeasureEnsemble(ensemble, numbers, {.fit_temperature = true, .problem = Problem::kRegression},
                      Unwatched)
          .status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      MeasureEnsemble(ensemble, near, {.temperature = -1}, Unwatched).status()));
}

}  // namespace
}  // namespace stockpot
