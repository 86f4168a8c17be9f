// Texts of differing length, with weights, through the real programs: the same report out of every
// format that has lists, early stopping or not, and as if each weight had been as many examples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/data_set_writer/data_set_writer.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

constexpr int kModels = 6, kTexts = 200;

class TextJobTest : public testing::Test {
 protected:
  TextJobTest()
      : server_({.workers = 1,
                 .allowed_roots = {folder_.path()},
                 .allowed_architecture_prefixes = {
                     std::filesystem::absolute("tests/support/models").string()}}) {
    for (int k = 0; k < kModels; ++k) WriteModel(k);
    std::mt19937 random(3);
    ParquetTable table{.numbers = {{"label", {}}, {"weight", {}}}, .tokens = {{"input_ids", {}}}};
    ParquetTable repeated = table;
    for (int i = 0; i < kTexts; ++i) {
      std::vector<int64_t> text(1 + random() % 60);
      for (int64_t& token : text) token = static_cast<int64_t>(random() % 16);
      // What it is about: its most frequent sort of token.
      std::vector<int> counts(3);
      for (const int64_t token : text) ++counts[static_cast<size_t>(token % 3)];
      const auto label = std::max_element(counts.begin(), counts.end()) - counts.begin();
      const auto weight = static_cast<int64_t>(random() % 4);
      for (int64_t copy = -1; copy < weight; ++copy) {
        ParquetTable& to = copy < 0 ? table : repeated;
        to.tokens[0].rows.push_back(text);
        to.numbers[0].rows.push_back(label);
        to.numbers[1].rows.push_back(weight);
      }
    }
    table.rows_per_group = 64;
    WriteParquet(folder_ / "texts.parquet", table);
    WriteBytes(folder_ / "texts.jsonl", JsonLinesOf(table));
    WriteParquet(folder_ / "repeated.parquet", repeated);
  }

  // Each embeds tokens by their sort, more or less, and looks at their mean.
  void WriteModel(int k) {
    std::mt19937 random(static_cast<unsigned>(k));
    const auto noise = [&](double scale) {
      return static_cast<float>(scale * (static_cast<double>(random() % 2001) / 1000 - 1));
    };
    const auto values = [&](size_t count, double scale) {
      std::vector<float> made(count);
      for (float& one : made) one = noise(scale);
      return made;
    };
    std::vector<float> tokens = values(16 * 8, 0.3 + 0.1 * k), head = values(3 * 8, 0.3);
    for (size_t t = 0; t < 16; ++t) tokens[t * 8 + t % 3] += 2;
    for (size_t c = 0; c < 3; ++c) head[c * 8 + c] += 1;
    WriteSafetensors(folder_ / absl::StrCat("model_", k, ".safetensors"),
                     {MakeTensor("attention.bias", DType::kFloat32, {24}, values(24, 0.1)),
                      MakeTensor("attention.weight", DType::kFloat32, {24, 8}, values(192, 0.3)),
                      MakeTensor("head.bias", DType::kFloat32, {3}, values(3, 0.1)),
                      MakeTensor("head.weight", DType::kFloat32, {3, 8}, head),
                      MakeTensor("norm.bias", DType::kFloat32, {8}, values(8, 0.1)),
                      MakeTensor("norm.weight", DType::kFloat32, {8}, std::vector<float>(8, 1)),
                      MakeTensor("positions.weight", DType::kFloat32, {64, 8}, values(512, 0.2)),
                      MakeTensor("tokens.weight", DType::kFloat32, {16, 8}, tokens)});
  }

  v1::JobSpec Spec(const std::string& data, bool weighted) const {
    v1::JobSpec spec;
    spec.mutable_model()->set_architecture_uri(
        std::filesystem::absolute("tests/support/models/text.pt").string());
    v1::InputBinding* input = spec.mutable_model()->add_inputs();
    input->set_data_set_input("input_ids");
    input->set_argument("input_ids");
    for (int k = 0; k < kModels; ++k) {
      spec.add_ingredients()->set_uri(folder_ / absl::StrCat("model_", k, ".safetensors"));
    }
    v1::DataSet* held_out = spec.mutable_evaluation()->mutable_held_out();
    held_out->set_uri(folder_ / data);
    held_out->add_input_tensors("input_ids");
    if (weighted) held_out->set_weight_tensor("weight");
    spec.mutable_compute()->set_batch_size(16);
    spec.mutable_compute()->set_measure_again(true);
    return spec;
  }

  v1::Job Run(const v1::JobSpec& spec) {
    v1::Job job = server_.Run(spec);
    EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    return job;
  }

  TemporaryFolder folder_;
  ServerProcess server_;
};

TEST_F(TextJobTest, ReportsAreTheSameOutOfEveryFormatStoppedEarlyOrNot) {
  int64_t examples[2] = {};
  for (const auto metric : {v1::EvaluationPlan::TOP1, v1::EvaluationPlan::CROSS_ENTROPY}) {
    std::string expected;
    for (const char* const data : {"texts.parquet", "texts.jsonl"}) {
      for (const bool stops : {false, true}) {
        v1::JobSpec spec = Spec(data, true);
        spec.mutable_evaluation()->set_metric(metric);
        spec.mutable_compute()->set_disable_early_stopping(!stops);
        const v1::Job job = Run(spec);
        const std::string text = job.report().result().DebugString();
        if (expected.empty()) expected = text;
        EXPECT_EQ(text, expected) << data << (stops ? ", stopped early" : "");
        examples[stops] += job.report().cost().examples_evaluated();
      }
    }
  }
  EXPECT_LT(examples[true], examples[false]);
}

TEST_F(TextJobTest, AWeightIsAsManyExamples) {
  const v1::ReportResult weighted = Run(Spec("texts.parquet", true)).report().result();
  const v1::ReportResult repeated = Run(Spec("repeated.parquet", false)).report().result();
  ASSERT_EQ(weighted.blends_size(), repeated.blends_size());
  for (int i = 0; i < weighted.blends_size(); ++i) {
    const v1::Score& score = weighted.blends(i).scores(0).score();
    const v1::Score& other = repeated.blends(i).scores(0).score();
    EXPECT_EQ(score.example_count(), kTexts);
    EXPECT_EQ(score.weight_sum(), static_cast<double>(other.example_count()));
    EXPECT_EQ(score.top1_weight(), static_cast<double>(other.top1_correct()));
    EXPECT_DOUBLE_EQ(score.top1(), other.top1());
    EXPECT_NEAR(score.cross_entropy(), other.cross_entropy(), 1e-6);
    EXPECT_FALSE(score.has_f1_macro());
    EXPECT_TRUE(other.has_f1_macro());
  }
}

TEST_F(TextJobTest, InspectionSaysThatTheyDiffer) {
  v1::InspectSourceRequest request;
  *request.mutable_data_set() = Spec("texts.jsonl", true).evaluation().held_out();
  v1::InspectSourceResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.stub().InspectSource(&context, request, &response).ok());
  ASSERT_EQ(response.data_set().inputs_size(), 1);
  EXPECT_THAT(response.data_set().inputs(0).shape(), testing::ElementsAre(-1));
}

}  // namespace
}  // namespace stockpot
