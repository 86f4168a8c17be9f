// BatchNorm statistics gathered anew, against those worked out here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/evaluation/batch_norm_options.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kFeatures = 4;
constexpr double kEpsilon = 1e-5;  // BatchNorm1d's own
constexpr float kWeight = 2, kBias = 0.5f;

// Row by row.
using Rows = std::vector<std::vector<double>>;

struct Moments {
  std::vector<double> mean, unbiased, biased;
};

Moments MomentsOf(const Rows& rows) {
  Moments moments;
  const auto n = static_cast<double>(rows.size());
  for (size_t f = 0; f < kFeatures; ++f) {
    double mean = 0, squares = 0;
    for (const auto& row : rows) mean += row[f] / n;
    for (const auto& row : rows) squares += (row[f] - mean) * (row[f] - mean);
    moments.mean.push_back(mean);
    moments.unbiased.push_back(squares / (n - 1));
    moments.biased.push_back(squares / n);
  }
  return moments;
}

// What a BatchNorm layer with weight kWeight and bias kBias gives in training.
Rows Normalised(Rows rows) {
  const Moments moments = MomentsOf(rows);
  for (auto& row : rows) {
    for (size_t f = 0; f < kFeatures; ++f) {
      row[f] =
          (row[f] - moments.mean[f]) / std::sqrt(moments.biased[f] + kEpsilon) * kWeight + kBias;
    }
  }
  return rows;
}

Rows RowsOf(int64_t count) {
  Rows rows;
  for (int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(i);
    rows.push_back({x, 3 - x * x / 8, std::fmod(x * 5, 7), 0.25 * x - 1});
  }
  return rows;
}

MemoryDataSet DataSetOf(const Rows& rows) {
  std::vector<float> x;
  for (const auto& row : rows) x.insert(x.end(), row.begin(), row.end());
  const auto count = static_cast<int64_t>(rows.size());
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, {count, kFeatures}, x)},
                       std::vector<int64_t>(rows.size(), 0));
}

class BatchNormTest : public testing::Test {
 protected:
  static std::unique_ptr<Runner> Load(const std::string& model) {
    auto runner = Runner::Load("tests/support/models/" + model, "cpu");
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }

  // Every norm has weight kWeight and bias kBias; buffers are the architecture's own.
  static void SetWeights(Runner* runner) {
    std::vector<TensorValue> tensors;
    for (const TensorInfo& info : runner->tensors()) {
      if (std::count(runner->buffers().begin(), runner->buffers().end(), info.name) > 0) continue;
      const bool bias = info.name.find("bias") != std::string::npos;
      const std::vector<float> elements(static_cast<size_t>(info.element_count()),
                                        bias ? kBias : kWeight);
      const auto* bytes = reinterpret_cast<const char*>(elements.data());
      tensors.push_back({info, {bytes, bytes + info.byte_count()}});
    }
    const std::vector<std::shared_ptr<const StateDict>> one = {MakeStateDict(std::move(tensors))};
    ASSERT_TRUE(runner->SetWeights(one, {}, std::nullopt).ok());
  }

  static BatchNormOptions Options(int batch_size) {
    BatchNormOptions options;
    options.batch_size = batch_size;
    options.dtype_of = [](const TensorInfo& tensor) { return tensor.dtype; };
    return options;
  }

  // By name; integers are given as floats.
  static std::map<std::string, std::vector<float>> Gather(Runner* runner, const DataSet& data,
                                                          const BatchNormOptions& options) {
    SetWeights(runner);
    const auto found = runner->GatherBatchNorm(data, options);
    EXPECT_TRUE(found.ok()) << found.status();
    std::map<std::string, std::vector<float>> by_name;
    for (const TensorValue& value : *found) {
      std::vector<float>& elements = by_name[value.info.name];
      if (value.info.dtype == DType::kInt64) {
        int64_t number = 0;
        std::memcpy(&number, value.bytes.data(), sizeof(number));
        elements = {static_cast<float>(number)};
        continue;
      }
      EXPECT_EQ(value.info.dtype, DType::kFloat32);
      elements.resize(value.bytes.size() / sizeof(float));
      std::memcpy(elements.data(), value.bytes.data(), value.bytes.size());
    }
    return by_name;
  }

  static void ExpectNear(const std::vector<float>& found, const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], 2e-6 * (1 + std::abs(expected[i]))) << i;
    }
  }
};

TEST_F(BatchNormTest, ListsTheLayersThatCanGather) {
  EXPECT_THAT(Load("batch_norms.pt")->batch_norms(), ElementsAre("first", "idle", "second"));
  EXPECT_THAT(Load("batch_norm.pt")->batch_norms(), ElementsAre("norm"));
  EXPECT_THAT(Load("layer_norm.pt")->batch_norms(), ElementsAre());
}

TEST_F(BatchNormTest, IsTheMeanOverWholeBatchesOfTheirStatistics) {
  const auto runner = Load("batch_norms.pt");
  const Rows rows = RowsOf(14);
  auto found = Gather(runner.get(), DataSetOf(rows), Options(6));
  std::vector<double> mean(kFeatures), variance(kFeatures), next_mean(kFeatures),
      next_variance(kFeatures);
  for (size_t batch = 0; batch < 2; ++batch) {
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(batch * 6);
    const Rows own(begin, begin + 6);
    const Moments first = MomentsOf(own), second = MomentsOf(Normalised(own));
    for (size_t f = 0; f < kFeatures; ++f) {
      mean[f] += first.mean[f] / 2;
      variance[f] += first.unbiased[f] / 2;
      next_mean[f] += second.mean[f] / 2;
      next_variance[f] += second.unbiased[f] / 2;
    }
  }
  ExpectNear(found["first.running_mean"], mean);
  ExpectNear(found["first.running_var"], variance);
  // The second layer sees what the first gives in training, and no dropout.
  ExpectNear(found["second.running_mean"], next_mean);
  ExpectNear(found["second.running_var"], next_variance);
  EXPECT_THAT(found["first.num_batches_tracked"], ElementsAre(2));
  EXPECT_THAT(found["second.num_batches_tracked"], ElementsAre(2));
  EXPECT_EQ(found.size(), 6u) << "no layer that does not run, none that was traced";
}

TEST_F(BatchNormTest, LessThanABatchIsOneBatch) {
  const auto runner = Load("batch_norm.pt");
  const Rows rows = RowsOf(5);
  auto found = Gather(runner.get(), DataSetOf(rows), Options(8));
  ExpectNear(found["norm.running_mean"], MomentsOf(rows).mean);
  ExpectNear(found["norm.running_var"], MomentsOf(rows).unbiased);
  EXPECT_THAT(found["norm.num_batches_tracked"], ElementsAre(1));
  EXPECT_EQ(BatchNormExamples(5, 8), 5);
  EXPECT_EQ(BatchNormExamples(8, 8), 8);
  EXPECT_EQ(BatchNormExamples(14, 6), 12);
}

TEST_F(BatchNormTest, LayersOfKeptTensorsGatherNothing) {
  const auto runner = Load("batch_norms.pt");
  BatchNormOptions options = Options(6);
  options.kept = {"second.running_v*"};
  const auto found = Gather(runner.get(), DataSetOf(RowsOf(12)), options);
  EXPECT_EQ(found.count("second.running_mean"), 0u);
  EXPECT_EQ(found.count("first.running_mean"), 1u);
}

TEST_F(BatchNormTest, IsRoundedToTheDTypeAskedFor) {
  const auto runner = Load("batch_norm.pt");
  SetWeights(runner.get());
  BatchNormOptions options = Options(4);
  options.dtype_of = [](const TensorInfo& tensor) {
    return IsFloatingPoint(tensor.dtype) ? DType::kBFloat16 : tensor.dtype;
  };
  const Rows rows = {{1.001, 1, 1, 1}, {1.001, 2, 1, 1}, {1.001, 1, 1, 1}, {1.001, 2, 1, 1}};
  const auto found = runner->GatherBatchNorm(DataSetOf(rows), options);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ((*found)[1].info.name, "norm.running_mean");
  EXPECT_EQ((*found)[1].info.dtype, DType::kBFloat16);
  EXPECT_THAT((*found)[1].bytes,
              ElementsAre('\x80', '\x3f', '\xc0', '\x3f', '\x80', '\x3f', '\x80', '\x3f'));
}

TEST_F(BatchNormTest, TheModelIsInEvalModeAgainAndItsWeightsCanBeSet) {
  const auto runner = Load("batch_norms.pt");
  const MemoryDataSet data = DataSetOf(RowsOf(12));
  MeasureOptions measure;
  measure.batch_size = 4;
  SetWeights(runner.get());
  const Measurement before = *runner->Measure(data, measure);
  const auto first = Gather(runner.get(), data, Options(6));
  EXPECT_EQ(Gather(runner.get(), data, Options(6)), first) << "nothing drops out";
  SetWeights(runner.get());
  EXPECT_EQ(runner->Measure(data, measure)->margins, before.margins);
}

TEST_F(BatchNormTest, ALayerThatRunsTwiceIsRefused) {
  const auto runner = Load("batch_norm_twice.pt");
  SetWeights(runner.get());
  const auto found = runner->GatherBatchNorm(DataSetOf(RowsOf(12)), Options(6));
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnimplemented) << found.status();
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("'first' runs 2 times"));
}

TEST_F(BatchNormTest, WhatIsNotFiniteIsAnError) {
  const auto runner = Load("batch_norm.pt");
  SetWeights(runner.get());
  Rows rows = RowsOf(6);
  rows[3][1] = INFINITY;
  const auto found = runner->GatherBatchNorm(DataSetOf(rows), Options(6));
  EXPECT_EQ(GetErrorFacts(found.status()).reason, "NON_FINITE_OUTPUT") << found.status();
}

TEST_F(BatchNormTest, ProgressCanEndIt) {
  const auto runner = Load("batch_norm.pt");
  SetWeights(runner.get());
  std::vector<int64_t> seen;
  BatchNormOptions options = Options(4);
  options.progress = [&](int64_t done) {
    seen.push_back(done);
    return done < 8 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  EXPECT_EQ(runner->GatherBatchNorm(DataSetOf(RowsOf(14)), options).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_THAT(seen, ElementsAre(4, 8));
}

}  // namespace
}  // namespace stockpot
