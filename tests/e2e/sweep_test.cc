// The greedy soup of a real sweep, against what today's script says of it (shared/data/README.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/server_process/server_process.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_save/torch_save.h"

namespace stockpot {
namespace {

using nlohmann::json;

constexpr int kIngredients = 12;
// Float rounding may flip an image whose two best logits are equal but for the last bits.
constexpr int64_t kFlips = 1;

std::string IngredientName(int i) {
  return (i < 10 ? "model_0" : "model_") + std::to_string(i) + ".safetensors";
}

class SweepTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = SharedData();
    if (folder_.empty()) GTEST_SKIP() << "no shared sweep: set STOCKPOT_SHARED to its folder";
    folder_ = std::filesystem::canonical(folder_).string();
    std::ifstream file(folder_ + "/reference.json");
    reference_ = json::parse(file);
  }

  v1::JobSpec Spec() const {
    v1::JobSpec spec;
    spec.mutable_model()->set_architecture_uri(folder_ + "/arch.pt");
    v1::InputBinding* input = spec.mutable_model()->add_inputs();
    input->set_data_set_input("images");
    input->set_scale_to_unit(true);
    for (float mean : {0.4914f, 0.4822f, 0.4465f}) input->add_mean(mean);
    for (float deviation : {0.2470f, 0.2435f, 0.2616f}) {
      input->add_standard_deviation(deviation);
    }
    for (int i = 0; i < kIngredients; ++i) {
      spec.add_ingredients()->set_uri(folder_ + "/checkpoints/" + IngredientName(i));
    }
    spec.mutable_evaluation()->mutable_held_out()->set_uri(folder_ + "/held_out");
    spec.mutable_evaluation()->set_full_scores(true);
    return spec;
  }

  v1::JobSpec SpecWithReportSets() const {
    v1::JobSpec spec = Spec();
    spec.add_comparisons()->mutable_logit_ensemble();
    const std::pair<const char*, const char*> sets[] = {{"test", "test"},
                                                        {"noise", "shift_noise.safetensors"},
                                                        {"blur", "shift_blur.safetensors"},
                                                        {"contrast", "shift_contrast.safetensors"},
                                                        {"rotate", "shift_rotate.safetensors"}};
    for (const auto& [name, file] : sets) {
      v1::DataSet* set = spec.mutable_evaluation()->add_report_sets();
      set->set_name(name);
      set->set_uri(folder_ + "/" + file);
    }
    return spec;
  }

  static void ExpectScore(const v1::Score& score, const json& expected, const std::string& what) {
    EXPECT_NEAR(score.top1_correct(), expected["correct"].get<int64_t>(), kFlips) << what;
    EXPECT_EQ(score.example_count(), expected["total"].get<int64_t>()) << what;
    EXPECT_NEAR(score.cross_entropy(), expected["loss"].get<double>(), 1e-4) << what;
  }

  static void ExpectScores(const v1::BlendResult& blend, const json& expected) {
    for (const v1::DataSetScore& score : blend.scores()) {
      ExpectScore(score.score(), expected[score.data_set()], blend.kind() + " " + score.data_set());
    }
  }

  void ExpectGreedyPath(const v1::ReportResult& result) const {
    const json& greedy = reference_["greedy"];
    EXPECT_EQ(std::vector<std::string>(result.order().begin(), result.order().end()),
              greedy["order"].get<std::vector<std::string>>());
    ASSERT_EQ(result.steps_size(), kIngredients);
    for (int i = 1; i < kIngredients; ++i) {
      const json& expected = greedy["steps"][i - 1];
      EXPECT_EQ(result.steps(i).candidate(), expected["candidate"]);
      EXPECT_EQ(result.steps(i).accepted(), expected["accepted"]) << result.steps(i).candidate();
      ExpectScore(result.steps(i).score(), expected, result.steps(i).candidate());
    }
    std::vector<std::string> kept;
    for (const v1::IngredientResult& ingredient : result.ingredients()) {
      if (ingredient.in_soup()) kept.push_back(ingredient.display_name());
    }
    EXPECT_THAT(kept, testing::UnorderedElementsAreArray(
                          greedy["ingredients"].get<std::vector<std::string>>()));
  }

  std::string folder_;
  json reference_;
};

TEST_F(SweepTest, ReportEqualsTheReference) {
  ServerProcess server({.workers = 2});
  const v1::Job job = server.Run(SpecWithReportSets());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  const v1::ReportResult& result = job.report().result();
  ExpectGreedyPath(result);
  for (int i = 0; i < kIngredients; ++i) {
    ExpectScore(result.ingredients(i).scores(0).score(),
                reference_["individual"][IngredientName(i)]["held_out"], IngredientName(i));
  }
  ASSERT_EQ(result.blends_size(), 4);
  ExpectScores(result.blends(0), reference_["individual"][result.order(0)]);
  ExpectScores(result.blends(1), reference_["uniform"]);
  ExpectScores(result.blends(2), reference_["greedy"]["scores"]);
  ExpectScores(result.blends(3), reference_["ensemble"]);
  for (const v1::BlendResult& blend : result.blends()) EXPECT_EQ(blend.scores_size(), 6);
  EXPECT_EQ(result.chosen(), "greedy");
}

// What no pass that proves a rejection can do without: as many wrong examples as make it certain.
int64_t FewestThatProve(const v1::CandidateStep& step) {
  const v1::Score& soup = step.not_better_than();
  return soup.example_count() - soup.top1_correct();
}

TEST_F(SweepTest, EarlyStoppingChangesNoResultAndSparesMostOfWhatItCan) {
  v1::JobSpec spec = Spec();
  spec.mutable_evaluation()->mutable_held_out()->set_uri(folder_ + "/held_out.safetensors");
  spec.mutable_evaluation()->set_full_scores(false);
  spec.mutable_compute()->set_batch_size(50);
  v1::Report reports[2];
  for (const bool plain : {false, true}) {
    spec.mutable_compute()->set_disable_early_stopping(plain);
    spec.mutable_compute()->set_measure_again(true);
    ServerProcess server({.workers = plain ? 3 : 1});
    const v1::Job job = server.Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    reports[plain] = job.report();
  }
  EXPECT_EQ(reports[0].result().SerializeAsString(), reports[1].result().SerializeAsString());
  EXPECT_EQ(reports[1].cost().examples_spared(), 0);

  int rejected = 0;
  int64_t fewest = 0, all = 0;
  for (const v1::CandidateStep& step : reports[0].result().steps()) {
    if (step.accepted()) continue;
    ++rejected;
    fewest += FewestThatProve(step);
    all += step.not_better_than().example_count();
  }
  EXPECT_EQ(reports[0].cost().evaluations_stopped_early(), rejected);
  const int64_t looked_at = all - reports[0].cost().examples_spared();
  RecordProperty("examples_of_rejections", static_cast<int>(looked_at));
  RecordProperty("fewest_that_prove", static_cast<int>(fewest));
  EXPECT_GE(looked_at, fewest);
  EXPECT_LE(static_cast<double>(looked_at), 1.25 * static_cast<double>(fewest));
}

// Another server, so nothing is known beforehand: tensors instead of JPEG files, torch.save instead
// of safetensors. Then the files of the first kind on the same server, where all is known.
TEST_F(SweepTest, TensorsAndTorchSaveGiveTheSameSoupBitForBit) {
  TemporaryFolder converted;
  v1::JobSpec spec = Spec();
  spec.mutable_evaluation()->mutable_held_out()->set_uri(folder_ + "/held_out.safetensors");
  for (v1::Ingredient& ingredient : *spec.mutable_ingredients()) {
    const std::string name = ingredient.uri().substr(ingredient.uri().rfind('/') + 1);
    ASSERT_TRUE(WriteTorchSave(ingredient.uri(), converted / name).ok());
    ingredient.set_uri(converted / name);
  }
  ServerProcess server({.workers = 2});
  const v1::Job torch_save = server.Run(spec);
  ASSERT_EQ(torch_save.state(), v1::Job::SUCCEEDED) << torch_save.error().message();
  ExpectGreedyPath(torch_save.report().result());
  EXPECT_EQ(torch_save.report().result().ingredients(0).format(), "torch.save");

  const v1::Job safetensors = server.Run(Spec());
  ASSERT_EQ(safetensors.state(), v1::Job::SUCCEEDED) << safetensors.error().message();
  EXPECT_EQ(safetensors.report().result().ingredients(0).format(), "safetensors");
  EXPECT_EQ(safetensors.report().cost().evaluations_run(), 0) << "equal content is known already";
  EXPECT_EQ(safetensors.report().result().soup_digest(),
            torch_save.report().result().soup_digest());
  EXPECT_EQ(safetensors.report().result().steps_size(), torch_save.report().result().steps_size());
}

}  // namespace
}  // namespace stockpot
