// The card beside a soup, for each kind of problem and metric, by jobs of an engine.
#include "server/control/job/model_card.h"

#include <yaml-cpp/yaml.h>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "server/base/files.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

class ModelCardTest : public EngineTest {
 protected:
  std::string CardOf(const Json& extra) {
    auto server = Start(1);
    const std::string id = absl::StrCat("a", ++jobs_);
    name_ = "jobs/" + id;
    NewJob job = MakeJob(id, FakeSpec(FakeUris(3), extra));
    job.display_name = "a | soup";
    const absl::Status created = server->engine->CreateJob(job).status();
    EXPECT_TRUE(created.ok()) << created;
    EXPECT_TRUE(server->pool->RunToEnd(name_));
    EXPECT_EQ(store_.GetJob(name_)->state, JobState::kSucceeded) << store_.GetJob(name_)->error;
    return *ReadSmallFile(folder_ / (id + "/README.md"), 1 << 20);
  }

  // What the hub reads of it.
  static YAML::Node FrontMatterOf(const std::string& card) {
    return YAML::Load(card.substr(4, card.find("\n---\n", 4) - 4));
  }

  // Of the soup on the held-out set.
  Json Score() {
    const Json result = Report(name_)["result"];
    for (const Json& blend : result["blends"]) {
      if (blend["kind"] == result["chosen"]) return blend["scores"][0]["score"];
    }
    return Json();
  }

  int jobs_ = 0;
  std::string name_;  // of the last job
};

TEST_F(ModelCardTest, IsHuggingFaces) {
  const std::string card = CardOf({{"recipe", {{"uniform", Json::object()}}}});
  for (const char* expected :
       {"---\nbase_model:\n  - m00.safetensors\n  - m01.safetensors\n  - m02.safetensors\n"
        "base_model_relation: merge\n",
        "model-index:", "# a \\| soup", "uniform (this model)", "0.333333",
        "Top-1 accuracy; the choice was made on held_out alone, by TOP1"}) {
    EXPECT_TRUE(absl::StrContains(card, expected)) << expected << "\n" << card;
  }
  const YAML::Node results = FrontMatterOf(card)["model-index"][0]["results"];
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0]["dataset"]["name"].as<std::string>(), "held_out");
  ASSERT_EQ(results[0]["metrics"].size(), 1u);
  EXPECT_EQ(results[0]["metrics"][0]["type"].as<std::string>(), "accuracy");
  EXPECT_DOUBLE_EQ(results[0]["metrics"][0]["value"].as<double>(), Score()["top1"]);
}

TEST_F(ModelCardTest, TellsTheNumberThatDecidedAndWhatTheModelDoes) {
  struct Case {
    const char* problem;
    const char* metric;
    const char* type;
    const char* name;
    const char* task;
    const char* field;  // of the score, for what is one of its numbers
    bool accuracy_too;
  };
  for (const Case& test :
       {Case{"CLASSIFICATION", "TOP5", "top_5_accuracy", "Top-5 accuracy", "other", "top5", true},
        {"CLASSIFICATION", "CROSS_ENTROPY", "cross_entropy", "Cross-entropy", "other",
         "cross_entropy", true},
        {"CLASSIFICATION", "F1_MACRO", "f1", "F1, mean over", "other", "f1_macro", true},
        {"CLASSIFICATION", "MEAN_PER_CLASS", "balanced_accuracy", "Accuracy, mean", "other",
         "mean_per_class", true},
        {"CLASSIFICATION", "MATTHEWS", "matthews_correlation", "Matthews", "other", "matthews",
         true},
        {"REGRESSION", "PEARSON", "pearsonr", "Pearson correlation", "other", "pearson", false},
        {"REGRESSION", "MEAN_SQUARED_ERROR", "mse", "Mean squared", "other", "mean_squared_error",
         false},
        {"REGRESSION", "MEAN_OF_PEARSON_AND_SPEARMAN", "mean_of_pearsonr_and_spearmanr",
         "Mean of Pearson", "other", nullptr, false},
        {"LANGUAGE_MODEL", "PERPLEXITY", "perplexity", "Perplexity", "text-generation",
         "perplexity", false}}) {
    SCOPED_TRACE(test.metric);
    const std::string card =
        CardOf({{"evaluation", {{"problem", test.problem}, {"metric", test.metric}}}});
    const YAML::Node first = FrontMatterOf(card)["model-index"][0]["results"][0];
    EXPECT_EQ(first["task"]["type"].as<std::string>(), test.task);
    const YAML::Node metrics = first["metrics"];
    ASSERT_EQ(metrics.size(), test.accuracy_too ? 2u : 1u);
    EXPECT_EQ(metrics[0]["type"].as<std::string>(), test.type);
    const double value = metrics[0]["value"].as<double>();
    if (test.field != nullptr) {
      EXPECT_NEAR(value, Score()[test.field].get<double>(), 1e-6 * std::abs(value));
    }
    if (test.accuracy_too) {
      EXPECT_EQ(metrics[1]["type"].as<std::string>(), "accuracy");
    }
    EXPECT_TRUE(absl::StrContains(card, absl::StrCat("\n\n", test.name))) << card;
    EXPECT_FALSE(absl::StrContains(card, " 0.00 %")) << card;
  }
}

TEST_F(ModelCardTest, ImagesAreImageClassification) {
  const Json held_out = {{"uri", "/data/images"},
                         {"image_transform", {{"resize_height", 8}, {"resize_width", 8}}}};
  const std::string card = CardOf({{"evaluation", {{"held_out", held_out}}}});
  EXPECT_TRUE(absl::StrContains(card, "type: image-classification")) << card;
}

}  // namespace
}  // namespace stockpot
