#include "client/cli/job_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "client/cli/paths.h"
#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The request that a command line sends.
v1::CreateJobRequest Submitted(ClientHarness& client, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "submit");
  const auto outcome = client.Run(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  const auto created = client.service.created();
  return created.empty() ? v1::CreateJobRequest() : created.back();
}

TEST(Submit, UrisWithWildcardsAreForTheServerToLookFor) {
  ClientHarness client;
  const v1::CreateJobRequest request =
      Submitted(client, {"--architecture", "/arch.pt", "--ingredients",
                         "s3://b/sweep/*.safetensors", "hf://org/repo/lr[12]/x", "https://host/a?b",
                         "s3://b/c", "--held-out", "/data/held_out"});
  const v1::JobSpec& spec = request.job().spec();
  ASSERT_EQ(spec.ingredients_size(), 4);
  EXPECT_EQ(spec.ingredients(0).uri_pattern(), "s3://b/sweep/*.safetensors");
  EXPECT_EQ(spec.ingredients(0).uri(), "");
  EXPECT_EQ(spec.ingredients(1).uri_pattern(), "hf://org/repo/lr[12]/x");
  EXPECT_EQ(spec.ingredients(2).uri(), "https://host/a?b");
  EXPECT_EQ(spec.ingredients(3).uri(), "s3://b/c");
}

TEST(Submit, MakesTheSpecOfItsFlags) {
  ClientHarness client;
  for (const char* name : {"b.safetensors", "a.safetensors", "B.safetensors"}) {
    std::ofstream(client.folder / name) << "x";
  }
  const v1::CreateJobRequest request = Submitted(client, {"--architecture",
                                                          "/arch.pt",
                                                          "--ingredients",
                                                          client.folder / "*.safetensors",
                                                          "s3://b/c",
                                                          "--held-out",
                                                          "/data/held_out",
                                                          "--report-set",
                                                          "test=/data/test",
                                                          "noise=/n.safetensors",
                                                          "--mean",
                                                          "0.5,0.25,0.125",
                                                          "--std",
                                                          "1,2,3",
                                                          "--resize",
                                                          "40",
                                                          "--crop",
                                                          "32x24",
                                                          "--metric",
                                                          "cross-entropy",
                                                          "--acceptance",
                                                          "not-worse",
                                                          "--dtype",
                                                          "bfloat16",
                                                          "--batch-size",
                                                          "64",
                                                          "--precision",
                                                          "bfloat16",
                                                          "--channels-last",
                                                          "--on-bad-ingredient",
                                                          "skip",
                                                          "--name",
                                                          "My sweep",
                                                          "--label",
                                                          "team=vision",
                                                          "--label",
                                                          "try=2",
                                                          "--priority",
                                                          "-5",
                                                          "--job-id",
                                                          "mine"});
  const v1::JobSpec& spec = request.job().spec();
  EXPECT_EQ(spec.model().architecture_uri(), "/arch.pt");
  EXPECT_EQ(spec.compute().precision(), v1::Compute::BFLOAT16);
  EXPECT_TRUE(spec.compute().channels_last());
  ASSERT_EQ(spec.ingredients_size(), 4);
  EXPECT_EQ(spec.ingredients(0).uri(), client.folder / "B.safetensors") << "byte order";
  EXPECT_EQ(spec.ingredients(1).uri(), client.folder / "a.safetensors");
  EXPECT_EQ(spec.ingredients(3).uri(), "s3://b/c");
  ASSERT_EQ(spec.model().inputs_size(), 1);
  EXPECT_EQ(spec.model().inputs(0).data_set_input(), "images");
  EXPECT_TRUE(spec.model().inputs(0).scale_to_unit());
  EXPECT_THAT(spec.model().inputs(0).mean(), ElementsAre(0.5f, 0.25f, 0.125f));
  EXPECT_THAT(spec.model().inputs(0).standard_deviation(), ElementsAre(1, 2, 3));
  EXPECT_EQ(spec.evaluation().held_out().image_transform().resize_shorter_side(), 40);
  EXPECT_EQ(spec.evaluation().held_out().image_transform().crop_height(), 32);
  EXPECT_EQ(spec.evaluation().held_out().image_transform().crop_width(), 24);
  ASSERT_EQ(spec.evaluation().report_sets_size(), 2);
  EXPECT_EQ(spec.evaluation().report_sets(0).name(), "test");
  EXPECT_EQ(spec.evaluation().report_sets(0).image_transform().resize_shorter_side(), 40);
  EXPECT_FALSE(spec.evaluation().report_sets(1).has_image_transform())
      << "tensors stay as they are";
  EXPECT_EQ(spec.evaluation().metric(), v1::EvaluationPlan::CROSS_ENTROPY);
  EXPECT_EQ(spec.recipe().greedy().acceptance(), v1::GreedyRecipe::NOT_WORSE);
  EXPECT_EQ(spec.output().dtype(), v1::Output::BFLOAT16);
  EXPECT_EQ(spec.compute().batch_size(), 64);
  EXPECT_EQ(spec.on_bad_ingredient(), v1::JobSpec::SKIP);
  EXPECT_EQ(request.job().display_name(), "My sweep");
  EXPECT_EQ(request.job().labels().at("team"), "vision");
  EXPECT_EQ(request.job().labels().at("try"), "2");
  EXPECT_EQ(request.job().priority(), -5);
  EXPECT_EQ(request.job_id(), "mine");
  EXPECT_EQ(request.request_id().size(), 36u) << "a UUID of its own: " << request.request_id();
}

TEST(Submit, LeavesToTheServerWhatNobodyGave) {
  ClientHarness client;
  const v1::JobSpec spec =
      Submitted(client, {"--architecture", "a.pt", "--held-out", "h"}).job().spec();
  EXPECT_EQ(spec.model().inputs_size(), 0);
  EXPECT_FALSE(spec.has_recipe());
  EXPECT_FALSE(spec.has_output());
  EXPECT_FALSE(spec.has_compute());
  EXPECT_EQ(spec.model().architecture_uri(), AbsolutePath("a.pt"));
}

TEST(Submit, FileNamesMayBeAnyBytes) {
  EXPECT_EQ(InMessage("/a/\xc3\xa9 b"), "/a/\xc3\xa9 b");
  EXPECT_EQ(InMessage("/a/\xff %*.pt"), "file:///a/%FF%20%25%2A.pt");
}

TEST(Submit, FlagsOverrideTheFile) {
  ClientHarness client;
  std::ofstream(client.folder / "job.yaml") << R"(
spec:
  model: {architecture_uri: arch.pt, inputs: [{data_set_input: pixels}]}
  ingredients: [{uri: a}, {uri: b}]
  evaluation: {held_out: {uri: h, label_tensor: y, format: TENSORS}, metric: TOP5}
labels: {team: vision, stage: draft}
)";
  const v1::Job job =
      Submitted(client, {"--file", client.folder / "job.yaml", "--ingredients", "/c", "--label",
                         "stage=final", "--mean", "1", "--std", "2"})
          .job();
  EXPECT_EQ(job.spec().model().architecture_uri(), client.folder / "arch.pt");
  ASSERT_EQ(job.spec().ingredients_size(), 1);
  EXPECT_EQ(job.spec().ingredients(0).uri(), "/c");
  EXPECT_EQ(job.spec().evaluation().metric(), v1::EvaluationPlan::TOP5);
  EXPECT_EQ(job.spec().evaluation().held_out().label_tensor(), "y");
  EXPECT_EQ(job.spec().model().inputs(0).data_set_input(), "pixels");
  EXPECT_FALSE(job.spec().model().inputs(0).scale_to_unit()) << "the file binds it without";
  EXPECT_THAT(job.spec().model().inputs(0).mean(), ElementsAre(1.0f));
  EXPECT_EQ(job.labels().at("team"), "vision");
  EXPECT_EQ(job.labels().at("stage"), "final");
}

TEST(Submit, RefusesFlagsThatContradict) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--recipe", "uniform", "--acceptance", "strict"}, "--acceptance"},
      {{"--mean", "1,2"}, "--mean and --std"},
      {{"--resize", "12x"}, "--resize: expected a size"},
      {{"--resize", "-3"}, "--resize"},
      {{"--report-set", "test"}, "--report-set: expected NAME=VALUE"},
      {{"--label", "=x"}, "--label"},
      {{"--ingredients", "/no/such/*.pt"}, "no file matches '/no/such/*.pt'"},
      {{"--metric", "accuracy"}, "--metric"},
      {{"--batch-size", "many"}, "--batch-size"},
      {{"--nonsense"}, "--nonsense"},
  };
  ClientHarness client;
  for (auto [arguments, expected] : cases) {
    arguments.insert(arguments.begin(), {"submit", "--held-out", "/images"});
    const auto outcome = client.Run(arguments);
    EXPECT_EQ(outcome.code, 2) << expected;
    EXPECT_THAT(outcome.error, HasSubstr(expected));
  }
  EXPECT_TRUE(client.service.created().empty());
}

TEST(Paths, OnlyNamesBelowTheFolderAreSafe) {
  for (const char* safe : {"soup.safetensors", "a/b", "..a"}) {
    EXPECT_TRUE(IsSafeRelativePath(safe)) << safe;
  }
  for (const char* unsafe : {"", ".", "..", "/etc/passwd", "../a", "a/../../b", "a/"}) {
    EXPECT_FALSE(IsSafeRelativePath(unsafe)) << unsafe;
  }
}

TEST(Submit, SaysWhereTheSoupGoesAndWhenTheJobEnds) {
  ClientHarness client;
  const v1::JobSpec spec =
      Submitted(client,
                {"--output-format", "torch-save", "--max-shard-bytes", "1000000", "--output-uri",
                 "/out/soup", "--timeout", "1h30m", "--task-timeout", "90s", "--max-evaluations",
                 "40", "--max-worker-time", "1.5s", "--max-task-time", "2h", "--measure-again"})
          .job()
          .spec();
  EXPECT_EQ(spec.output().format(), v1::Output::TORCH_SAVE);
  EXPECT_EQ(spec.output().max_shard_bytes(), 1'000'000);
  EXPECT_EQ(spec.output().output_uri(), "/out/soup");
  EXPECT_EQ(spec.limits().timeout().seconds(), 5400);
  EXPECT_EQ(spec.limits().task_timeout().seconds(), 90);
  EXPECT_EQ(spec.limits().max_task_time().seconds(), 7200);
  EXPECT_EQ(spec.limits().max_worker_time().seconds(), 1);
  EXPECT_EQ(spec.limits().max_worker_time().nanos(), 500'000'000);
  EXPECT_EQ(spec.limits().max_evaluations(), 40);
  EXPECT_TRUE(spec.compute().measure_again());
  EXPECT_FALSE(Submitted(client, {"--architecture", "/a"}).job().spec().has_limits());
}

TEST(Submit, RefusesADurationThatIsNone) {
  ClientHarness client;
  for (const char* text : {"90", "-1s", "0s", "inf", "soon", "10000000h"}) {
    const auto outcome = client.Run({"submit", "--timeout", text});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_THAT(outcome.error, HasSubstr("--timeout: expected a duration such as 90s")) << text;
  }
  EXPECT_TRUE(client.service.created().empty());
}

TEST(Submit, ComparesRecipesAndKnowsWhatSetsAreFor) {
  ClientHarness client;
  const v1::JobSpec spec =
      Submitted(client,
                {"--architecture", "/arch.pt",           "--ingredients", "s3://b/c",
                 "--held-out",     "/data/held_out",     "--base",        "/base.safetensors",
                 "--recipe",       "learned-per-tensor", "--wise-ft",     "--compare",
                 "greedy",         "logit-ensemble",     "--metric",      "f1-macro",
                 "--shift-set",    "sketch=/s",          "--final-set",   "final=/f",
                 "--full-scores",  "--calibration",      "--angles"})
          .job()
          .spec();
  EXPECT_EQ(spec.model().base_uri(), "/base.safetensors");
  EXPECT_TRUE(spec.recipe().learned().per_tensor());
  EXPECT_TRUE(spec.recipe().has_wise_ft());
  ASSERT_EQ(spec.comparisons_size(), 2);
  EXPECT_TRUE(spec.comparisons(0).has_greedy());
  EXPECT_TRUE(spec.comparisons(1).has_logit_ensemble());
  EXPECT_EQ(spec.evaluation().metric(), v1::EvaluationPlan::F1_MACRO);
  ASSERT_EQ(spec.evaluation().report_sets_size(), 2);
  EXPECT_EQ(spec.evaluation().report_sets(0).role(), v1::DataSet::DISTRIBUTION_SHIFT);
  EXPECT_EQ(spec.evaluation().report_sets(1).role(), v1::DataSet::FINAL);
  EXPECT_EQ(spec.evaluation().report_sets(1).name(), "final");
  EXPECT_TRUE(spec.evaluation().full_scores());
  EXPECT_TRUE(spec.analysis().calibration());
  EXPECT_TRUE(spec.analysis().angles());
}

TEST(Submit, KnowsEveryMetricAndRecipeOfTheApi) {
  EXPECT_EQ(MetricWords().size(),
            static_cast<size_t>(v1::EvaluationPlan::Metric_descriptor()->value_count()) - 1);
  for (const std::string& word : RecipeWords(/*with_ensembles=*/true)) {
    ClientHarness client;
    const auto request = Submitted(client, {"--architecture", "/a", "--ingredients", "s3://b/c",
                                            "--held-out", "/d", "--compare", word});
    ASSERT_EQ(request.job().spec().comparisons_size(), 1) << word;
    EXPECT_NE(request.job().spec().comparisons(0).recipe_case(), v1::Recipe::RECIPE_NOT_SET);
  }
}

}  // namespace
}  // namespace stockpot::cli
