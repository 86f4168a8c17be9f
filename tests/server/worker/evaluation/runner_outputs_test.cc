// What a runner hands on of a model's outputs, by problem.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

OutputOptions Outputs(Problem problem, std::vector<int32_t> class_subset = {}) {
  OutputOptions options;
  options.problem = problem;
  options.class_subset = std::move(class_subset);
  return options;
}

// Models with their own weights, which are all 0.
absl::Status RunModel(const std::string& model, const DataSet& data_set,
                      const OutputOptions& outputs, const OutputSink& sink) {
  auto runner = Runner::Load("tests/support/models/" + model, "cpu");
  EXPECT_TRUE(runner.ok()) << runner.status();
  MeasureOptions options;
  options.outputs = outputs;
  options.batch_size = 4;
  return (*runner)->Run(data_set, options, sink);
}

MemoryDataSet Vectors(int count) {
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, {count, 4},
                                   std::vector<float>(static_cast<size_t>(count) * 4, 1.0f))},
                       std::vector<int64_t>(static_cast<size_t>(count), 0));
}

MemoryDataSet Tokens(int count) {
  return MemoryDataSet({MakeTensor("x", DType::kInt64, {count, 2},
                                   std::vector<int64_t>(static_cast<size_t>(count) * 2, 0))},
                       std::vector<int64_t>(static_cast<size_t>(count), 0));
}

TEST(RunnerOutputs, HaveTheShapeOfTheProblem) {
  const MemoryDataSet vectors = Vectors(6), tokens = Tokens(6);
  const struct {
    std::string model;
    const DataSet& data_set;
    OutputOptions outputs;
    int64_t length, classes;
  } cases[] = {
      {"linear.pt", vectors, {}, 1, 3},
      {"linear.pt", vectors, Outputs(Problem::kClassification, {2, 1}), 1, 2},
      {"scalar.pt", vectors, Outputs(Problem::kRegression), 1, 1},
      {"linear.pt", vectors, Outputs(Problem::kRegression, {2}), 1, 1},
      {"bigram.pt", tokens, Outputs(Problem::kLanguageModel), 2, 3},
      {"bigram.pt", tokens, Outputs(Problem::kLanguageModel, {0, 2}), 2, 2},
  };
  for (const auto& test : cases) {
    std::vector<int64_t> counts;
    const absl::Status status =
        RunModel(test.model, test.data_set, test.outputs, [&](const OutputBatch& batch) {
          EXPECT_EQ(batch.first, counts.empty() ? 0 : 4);
          EXPECT_EQ(batch.length, test.length);
          EXPECT_EQ(batch.classes, test.classes);
          EXPECT_EQ(batch.values.size(),
                    static_cast<size_t>(batch.count * test.length * test.classes));
          counts.push_back(batch.count);
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << test.model << status;
    EXPECT_THAT(counts, testing::ElementsAre(4, 2)) << "the padding is left out";
  }
}

TEST(RunnerOutputs, OfAnotherShapeAreRefused) {
  const MemoryDataSet vectors = Vectors(2), tokens = Tokens(2);
  const struct {
    std::string model;
    const DataSet& data_set;
    OutputOptions outputs;
    std::string reason, says;
  } cases[] = {
      {"scalar.pt", vectors, {}, "MODEL_OUTPUT_MISMATCH", "[4]; expected logits: float"},
      {"bigram.pt", tokens, {}, "MODEL_OUTPUT_MISMATCH", "[4, 2, 3]; expected logits: float"},
      {"linear.pt", vectors, Outputs(Problem::kRegression), "MODEL_OUTPUT_MISMATCH",
       "[4, 3]; expected outputs of a regression"},
      {"linear.pt", vectors, Outputs(Problem::kLanguageModel), "MODEL_OUTPUT_MISMATCH",
       "[4, 3]; expected logits of a language model"},
      {"linear.pt", vectors, Outputs(Problem::kClassification, {3}), "MODEL_OUTPUT_MISMATCH",
       "logit 3"},
      {"linear.pt", vectors, Outputs(Problem::kClassification, {-3}), "DATA_SET_INVALID",
       "class_subset[0] is -3"},
  };
  for (const auto& test : cases) {
    const absl::Status status = RunModel(test.model, test.data_set, test.outputs,
                                         [](const OutputBatch&) { return absl::OkStatus(); });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorFacts(status).reason, test.reason) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.says));
  }
}

TEST(RunnerOutputs, TheSinkCanEndTheRun) {
  int batches = 0;
  const absl::Status status = RunModel("linear.pt", Vectors(9), {}, [&](const OutputBatch&) {
    return ++batches == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(batches, 2);
}

}  // namespace
}  // namespace stockpot
