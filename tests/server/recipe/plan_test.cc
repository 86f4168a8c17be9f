// The plan: whoever measures what, in whatever order, the report has the same bytes.
#include "server/recipe/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/map_ledger.h"
#include "tests/support/thinning.h"

namespace stockpot {
namespace {

JobSpec Parse(const Json& json) {
  absl::StatusOr<JobSpec> spec = ParseJobSpec(json, "spec", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.value_or(JobSpec());
}

PlanOptions Options() { return {"jobs/a", "jobs/a@1", "/artifacts/a", "test"}; }

struct Course {
  PlanDecision end;
  std::string report;  // of the result
  std::map<std::string, std::string> milestones;
  std::vector<std::string> order;  // keys of facts as they came
};

using MakeFact = std::function<Fact(const Task&)>;

// From an empty ledger to the end: answers wanted tasks in batches and in an order that `seed`
// decides, and checks that every decision is consistent with those before.
Course RunCourse(const Json& spec, unsigned seed, int speculation,
                 const MakeFact& make = FakeResult) {
  const Plan plan(Parse(spec), Options());
  std::mt19937 random(seed);
  MapLedger ledger;
  Course course;
  NextOptions options;
  options.speculation = speculation;
  while (true) {
    PlanDecision decision = plan.Next(ledger, options);
    for (const auto& [key, body] : course.milestones) {
      const bool still = std::any_of(decision.milestones.begin(), decision.milestones.end(),
                                     [&, &key = key](const Milestone& m) { return m.key == key; });
      EXPECT_TRUE(still) << key << " was told and is no more";
    }
    for (const Milestone& milestone : decision.milestones) {
      auto [told, is_new] = course.milestones.emplace(milestone.key, milestone.body.dump());
      EXPECT_EQ(told->second, milestone.body.dump()) << milestone.key;
    }
    std::set<std::string> keys;
    for (const Task& task : decision.wanted) {
      EXPECT_TRUE(keys.insert(task.key).second) << task.description << " is wanted twice";
      EXPECT_EQ(ledger.Find(task.key), nullptr) << task.description << " is known";
    }
    EXPECT_LE(decision.tasks_done, decision.tasks_total);
    if (decision.finished || decision.wanted.empty()) {
      EXPECT_TRUE(decision.finished) << "stuck";
      course.end = std::move(decision);
      course.report = plan.ReportResult(ledger).dump();
      return course;
    }
    const size_t batch = 1 + random() % 4;
    for (size_t i = 0; i < batch; ++i) {
      const Task& task = decision.wanted[random() % decision.wanted.size()];
      Fact fact = make(task);
      fact.key = FactKey(task, fact.result);
      if (ledger.facts.emplace(fact.key, fact).second) course.order.push_back(fact.key);
    }
  }
}

struct Case {
  const char* name;
  Json extra;
};

const Case kCases[] = {
    {"Greedy", Json::object()},
    {"NotWorse", {{"recipe", {{"greedy", {{"acceptance", "NOT_WORSE"}}}}}}},
    {"Uniform", {{"recipe", {{"uniform", Json::object()}}}}},
    {"CrossEntropy", {{"evaluation", {{"metric", "CROSS_ENTROPY"}}}}},
    {"Top5", {{"evaluation", {{"metric", "TOP5"}}}}},
    {"EveryIngredient", {{"evaluation", {{"report_every_ingredient", true}}}}},
    {"NoReportSets", {{"evaluation", {{"report_sets", nullptr}}}}},
    {"Skip", {{"on_bad_ingredient", "SKIP"}}},
    {"Halved", Json::object()},
    {"Budget", {{"limits", {{"max_evaluations", "12"}}}}},
    {"SmallBudget", {{"limits", {{"max_evaluations", 4}}}}},
    {"FullScores", {{"evaluation", {{"full_scores", true}}}}},
    {"MeasureAgain", {{"compute", {{"measure_again", true}}}}},
    {"AsGiven", {{"recipe", {{"greedy", {{"order", "AS_GIVEN"}}}}}}},
    {"RandomOrders",
     {{"recipe", {{"greedy", {{"order", "RANDOM"}, {"seed", "7"}, {"repeats", 4}}}}}}},
    {"RandomOrdersWithABudget",
     {{"recipe", {{"greedy", {{"order", "RANDOM"}, {"repeats", 3}}}}},
      {"limits", {{"max_evaluations", "19"}}}}},
    {"EnsembleOrdersCandidates",
     {{"recipe", {{"greedy", {{"ensemble_ranking", "ORDER_CANDIDATES"}}}}}}},
    {"EnsembleFiltersCandidates",
     {{"recipe", {{"greedy", {{"ensemble_ranking", "FILTER_CANDIDATES"}}}}}}},
    {"BestSingle", {{"recipe", {{"best_single", Json::object()}}}}},
    {"Learned", {{"recipe", {{"learned", Json::object()}}}}},
    {"LearnedPerTensorWithWiseFt",
     {{"model", {{"base_uri", "/base"}}},
      {"recipe",
       {{"learned", {{"per_tensor", true}, {"epochs", 2}, {"constraint", "FREE"}}},
        {"wise_ft", {{"select", true}}}}}}},
    {"WiseFtOfTheUniformSoup",
     {{"model", {{"base_uri", "/base"}}},
      {"recipe",
       {{"uniform", Json::object()}, {"wise_ft", {{"coefficients", {0, 0.5, 1, 1.25}}}}}}}},
    {"EveryComparison",
     {{"comparisons", Json::array({{{"uniform", Json::object()}},
                                   {{"best_single", Json::object()}},
                                   {{"greedy", {{"acceptance", "NOT_WORSE"}}}},
                                   {{"learned", {{"epochs", 3}}}},
                                   {{"learned", {{"epochs", 3}, {"per_tensor", true}}}},
                                   {{"logit_ensemble", Json::object()}},
                                   {{"greedy_logit_ensemble", Json::object()}}})},
      {"evaluation", {{"report_every_ingredient", true}}},
      {"analysis", {{"calibration", true}}}}},
    {"Pairs",
     {{"model", {{"base_uri", "/base"}}},
      {"analysis",
       {{"angles", true},
        {"pairs", {{"coefficients", {-0.5, 0, 0.5, 1}}, {"approximation", true}}},
        {"landscape",
         {{"first", "base"},
          {"second", "m00.safetensors"},
          {"third", "m01.safetensors"},
          {"points", 3}}}}}}},
    {"BatchNormOfCandidates",
     {{"model", {{"architecture_uri", "/models/norm.pt"}}},
      {"batch_norm", {{"data_set", {{"uri", "/data/train.safetensors"}}}}}}},
    {"BatchNormOfTheSoup",
     {{"model", {{"architecture_uri", "/models/norm.pt"}}},
      {"batch_norm",
       {{"data_set", {{"uri", "/data/train.safetensors"}}}, {"scope", "FINAL_SOUP"}}}}},
    {"BatchNormWithoutLayers",
     {{"batch_norm", {{"data_set", {{"uri", "/data/train.safetensors"}}}}}}},
    {"InBFloat16", {{"compute", {{"precision", "BFLOAT16"}}}}},
    {"ChannelsLast", {{"compute", {{"channels_last", true}}}}},
    {"HeldOutAlsoReported",
     {{"evaluation",
       {{"report_sets",
         Json::array({{{"name", "again"}, {"uri", "/data/held_out.safetensors"}}})}}}}},
};

class PlanCourse : public testing::TestWithParam<Case> {};

Json SpecOf(const Case& test) {
  std::vector<std::string> uris = FakeUris(7);
  if (std::string(test.name) == "Skip") {
    for (const char* uri : {"/bad-1", "/misfit-1", "/nan-1", "/nan-2"}) {
      uris.insert(uris.begin(), uri);
    }
  }
  if (std::string(test.name) == "Halved") uris.insert(uris.begin() + 2, "/oom-1");
  uris.push_back("/same-1.a");
  uris.push_back("/same-1.b");
  return FakeSpec(uris, test.extra);
}

TEST_P(PlanCourse, AnyOrderAndSpeculationGivesTheSameReport) {
  const Json spec = SpecOf(GetParam());
  const Course expected = RunCourse(spec, 0, 1);
  ASSERT_TRUE(expected.end.failure.ok()) << expected.end.failure;
  for (unsigned seed = 1; seed <= 12; seed += Thinning()) {
    const Course course = RunCourse(spec, seed, 1 + static_cast<int>(seed % 5));
    EXPECT_EQ(course.report, expected.report);
    EXPECT_EQ(course.milestones, expected.milestones);
    EXPECT_EQ(course.end.artifacts, expected.end.artifacts);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PlanCourse, testing::ValuesIn(kCases),
                         [](const auto& instance) { return instance.param.name; });

// Equal reports could be equally empty: what each kind of job must tell.
TEST(Plan, TheReportTellsWhatWasAskedFor) {
  const auto report_of = [](const Json& extra) {
    const Course course = RunCourse(FakeSpec(FakeUris(5), extra), 1, 2);
    EXPECT_TRUE(course.end.failure.ok()) << course.end.failure;
    return Json::parse(course.report);
  };
  std::map<std::string, Json> extras;
  for (const Case& entry : kCases) extras[entry.name] = entry.extra;

  Json report = report_of(extras["RandomOrders"]);
  EXPECT_EQ(report["random_orders"]["results"].size(), 4u);
  EXPECT_GE(report["random_orders"]["maximum"], report["random_orders"]["mean"]);

  report = report_of(extras["LearnedPerTensorWithWiseFt"]);
  EXPECT_EQ(report["learned"]["epoch_losses"].size(), 2u);
  EXPECT_EQ(report["learned"]["tensor_coefficients"].size(), 10u);
  EXPECT_EQ(report["learned"]["tensors"], (Json{"fc.bias", "fc.weight"}));
  EXPECT_EQ(report["wise_ft"]["points"].size(), 11u);
  EXPECT_EQ(report["wise_ft"]["points"][0]["scores"].size(), 2u);
  EXPECT_TRUE(report["wise_ft"].contains("selected"));

  report = report_of(extras["EveryComparison"]);
  std::set<std::string> kinds;
  for (const Json& blend : report["blends"]) kinds.insert(blend["kind"]);
  EXPECT_EQ(kinds, (std::set<std::string>{"best_single", "uniform", "greedy", "greedy_2", "learned",
                                          "learned_per_tensor", "logit_ensemble",
                                          "greedy_logit_ensemble"}));
  EXPECT_EQ(report["comparisons"].size(), 7u);
  EXPECT_EQ(report["oracles"].size(), 1u);
  EXPECT_EQ(report["calibrations"].size(), 13u);
  EXPECT_EQ(report["calibrations"][0]["entries"].size(), 2u);

  report = report_of(extras["Pairs"]);
  EXPECT_EQ(report["angles"]["norms"].size(), 5u);
  EXPECT_EQ(report["pairs"]["pairs"].size(), 10u);
  EXPECT_EQ(report["pairs"]["pairs"][0]["points"].size(), 4u);
  EXPECT_EQ(report["pairs"]["approximation_to_difference"]["count"], 10);
  EXPECT_EQ(report["landscape"]["points"].size(), 9u);
  EXPECT_EQ(report["landscape"]["second_squared"], 2.0);

  report = report_of(extras["InBFloat16"]);
  EXPECT_EQ(report["precision"]["precision"], "BFLOAT16");
  EXPECT_EQ(report["precision"]["scores"].size(), 2u);
  EXPECT_EQ(report["precision"]["float32_scores"].size(), 2u);
  EXPECT_NE(report["numerics"].get<std::string>().find("BFLOAT16"), std::string::npos);
  EXPECT_FALSE(report_of(extras["Top5"]).contains("precision")) << "FLOAT32 against itself";
  report = report_of(extras["ChannelsLast"]);
  EXPECT_NE(report["numerics"].get<std::string>().find(", channels last, batch"),
            std::string::npos);

  report = report_of(extras["BatchNormOfTheSoup"]);
  EXPECT_EQ(report["batch_norm"]["scope"], "FINAL_SOUP");
  report = report_of(extras["BatchNormWithoutLayers"]);
  EXPECT_FALSE(report["batch_norm"]["note"].get<std::string>().empty());
}

// Facts of FLOAT32, and of images as they come, are those from before there was a choice.
TEST(Plan, ScoresThatAreComputedOtherwiseAreOtherFacts) {
  MeasureInputs inputs;
  inputs.data_set.uri = "/data";
  const std::string exact = MeasureKey(inputs);
  EXPECT_FALSE(MeasureTask(inputs).body["measure"].contains("precision"));
  std::set<std::string> keys = {exact};
  for (const auto precision : {Precision::kTf32, Precision::kBFloat16, Precision::kFloat16}) {
    inputs.precision = precision;
    keys.insert(MeasureKey(inputs));
    EXPECT_EQ(MeasureTask(inputs).body["measure"]["precision"], PrecisionName(precision).data());
  }
  inputs.precision = Precision::kFloat32;
  EXPECT_FALSE(MeasureTask(inputs).body["measure"].contains("channels_last"));
  inputs.channels_last = true;
  keys.insert(MeasureKey(inputs));
  EXPECT_EQ(MeasureTask(inputs).body["measure"]["channels_last"], true);
  EXPECT_EQ(keys.size(), 5u);
}

TEST(Plan, AtMostOneOfAGroupIsInASoup) {
  Json spec =
      FakeSpec(FakeUris(6), {{"comparisons", Json::array({{{"learned", Json::object()}}})}});
  for (size_t i = 0; i < 6; ++i) {
    spec["ingredients"][i]["group"] = i % 2 == 0 ? "even" : "odd";
  }
  spec["recipe"]["greedy"]["acceptance"] = "NOT_WORSE";
  const Course course = RunCourse(spec, 3, 2);
  ASSERT_TRUE(course.end.failure.ok()) << course.end.failure;
  const Json report = Json::parse(course.report);
  for (const Json& blend : report["blends"]) {
    EXPECT_LE(blend["ingredients"].size(), 2u) << blend["kind"];
  }
  bool passed_over = false;
  for (const Json& step : report["steps"]) passed_over |= step.contains("passed_over");
  EXPECT_TRUE(passed_over);
}

TEST_P(PlanCourse, AnyPrefixOfTheFactsGivesAConsistentDecision) {
  const Json spec = SpecOf(GetParam());
  const Course course = RunCourse(spec, 5, 2);
  // One plan sees the ledger shrink to every prefix; a fresh plan sees only that prefix.
  const Plan used(Parse(spec), Options());
  MapLedger all;
  std::map<std::string, Task> tasks;
  while (true) {
    const PlanDecision decision = used.Next(all);
    if (decision.finished) break;
    for (const Task& task : decision.wanted) {
      tasks[task.key] = task;
      all.Add(FakeResult(task));
    }
  }
  EXPECT_EQ(Plan(Parse(spec), Options()).ReportResult(all).dump(), course.report);
  std::set<std::string> before;
  MapLedger prefix;
  for (const std::string& key : course.order) {
    if (all.Find(key) == nullptr) continue;  // speculation of that course
    prefix.facts[key] = all.facts[key];
    if (prefix.facts.size() % static_cast<size_t>(Thinning()) != 0) continue;
    const PlanDecision from_used = used.Next(prefix);
    const PlanDecision from_fresh = Plan(Parse(spec), Options()).Next(prefix);
    std::set<std::string> told;
    for (const Milestone& milestone : from_used.milestones) told.insert(milestone.key);
    EXPECT_TRUE(std::includes(told.begin(), told.end(), before.begin(), before.end()));
    for (const Task& task : from_fresh.wanted) {
      EXPECT_EQ(prefix.Find(task.key), nullptr) << task.description << " is known";
    }
    ASSERT_EQ(from_used.wanted.size(), from_fresh.wanted.size());
    for (size_t i = 0; i < from_used.wanted.size(); ++i) {
      EXPECT_EQ(from_used.wanted[i].key, from_fresh.wanted[i].key);
    }
    EXPECT_EQ(from_used.milestones.size(), from_fresh.milestones.size());
    before = std::move(told);
  }
}

TEST(Plan, LeavesOutMilestonesThatWereTold) {
  const Plan plan(Parse(FakeSpec(FakeUris(2))), Options());
  MapLedger ledger;
  for (const Task& task : plan.Next(ledger).wanted) ledger.Add(FakeResult(task));
  const PlanDecision all = plan.Next(ledger);
  ASSERT_EQ(all.milestones.size(), 4u);
  absl::flat_hash_set<std::string> told = {all.milestones[1].key};
  NextOptions options;
  options.told = &told;
  EXPECT_EQ(plan.Next(ledger, options).milestones.size(), 3u);
}

TEST(Plan, IdenticalCheckpointsAreMeasuredOnceAndNamed) {
  const Json spec = FakeSpec({"/m1", "/same-1.a", "/same-1.b"});
  const Course course = RunCourse(spec, 1, 1);
  ASSERT_TRUE(course.end.failure.ok());
  const Json report = Json::parse(course.report);
  EXPECT_EQ(report["ingredients"][2]["identical_to"], "same-1.a");
  EXPECT_EQ(report["ingredients"][2]["scores"], report["ingredients"][1]["scores"]);
  EXPECT_FALSE(report["ingredients"][1].contains("identical_to"));
}

TEST(Plan, NamesEveryBadIngredientAndCountsTheRest) {
  std::vector<std::string> uris;
  for (int i = 0; i < 1000; ++i) {
    uris.push_back(absl::StrCat(i % 2 == 0 ? "/ok-" : "/bad-", i));
  }
  const Course course = RunCourse(FakeSpec(uris), 1, 1);
  const absl::Status& failure = course.end.failure;
  EXPECT_EQ(failure.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(failure.message(), "500 of 1000 ingredients")) << failure;
  const ErrorFacts facts = GetErrorFacts(failure);
  EXPECT_EQ(facts.reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(facts.metadata.at("ingredient"), "bad-1");
  ASSERT_EQ(facts.violations.size(), 100u);
  EXPECT_EQ(facts.violations[1].field, "spec.ingredients[3]");
  EXPECT_LT(SerializeStatus(failure).size(), 60000u);
}

TEST(Plan, SkipFailsOnlyWhenNothingIsLeft) {
  const Json skip = {{"on_bad_ingredient", "SKIP"}};
  const Course some =
      RunCourse(FakeSpec({"/bad-1", "/m1", "/nan-1", "/misfit-1", "/m2"}, skip), 1, 2);
  ASSERT_TRUE(some.end.failure.ok()) << some.end.failure;
  const Json report = Json::parse(some.report);
  EXPECT_EQ(report["ingredients"][0]["skipped_because"], "no such file");
  EXPECT_FALSE(report["ingredients"][1].contains("skipped_because"));
  EXPECT_EQ(report["ingredients"][2]["skipped_because"], "the model gives NaN");
  EXPECT_TRUE(
      absl::StrContains(report["ingredients"][3]["skipped_because"].get<std::string>(), "fc."));
  EXPECT_EQ(report["order"].size(), 2u);

  const Course none = RunCourse(FakeSpec({"/bad-1", "/nan-1"}, skip), 1, 2);
  EXPECT_FALSE(none.end.failure.ok());
  EXPECT_EQ(GetErrorFacts(none.end.failure).violations.size(), 2u);
}

TEST(Plan, AFailedMeasureFailsTheJobTheSameInAnyOrder) {
  const Json spec = FakeSpec({"/m1", "/nan-1", "/m2", "/nan-2"});
  for (unsigned seed = 0; seed < 20; ++seed) {
    const absl::Status failure = RunCourse(spec, seed, 3).end.failure;
    EXPECT_EQ(failure.message(), "ingredient 'nan-1' on held_out: the model gives NaN");
    EXPECT_EQ(GetErrorFacts(failure).reason, "NON_FINITE_OUTPUT");
    EXPECT_EQ(GetErrorFacts(failure).metadata.at("ingredient"), "nan-1");
  }
}

// What was measured ahead and turned out not to matter must not matter when it failed, either.
TEST(Plan, AFailedSpeculationDoesNotMatter) {
  const Json spec =
      FakeSpec(FakeUris(6), {{"recipe", {{"greedy", {{"acceptance", "NOT_WORSE"}}}}}});
  const Course expected = RunCourse(spec, 0, 1);
  std::set<std::string> needed(expected.order.begin(), expected.order.end());
  auto make = [&](const Task& task) {
    Fact fact = FakeResult(task);
    if (needed.count(task.key) == 0) fact.status = absl::InternalError("speculation failed");
    return fact;
  };
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Course course = RunCourse(spec, seed, 6, make);
    EXPECT_TRUE(course.end.failure.ok()) << course.end.failure;
    EXPECT_EQ(course.report, expected.report);
  }
}

TEST(Plan, ArchitectureAndDataSetFailuresNameTheirField) {
  for (const auto& [kind, field] :
       {std::pair("inspect_architecture", "spec.model.architecture_uri"),
        std::pair("inspect_data_set", "spec.evaluation.held_out")}) {
    auto make = [kind = std::string(kind)](const Task& task) {
      Fact fact = FakeResult(task);
      if (task.kind() == kind) fact.status = WithReason(absl::NotFoundError("gone"), "GONE");
      return fact;
    };
    const absl::Status failure = RunCourse(FakeSpec(FakeUris(2)), 1, 1, make).end.failure;
    EXPECT_EQ(failure.code(), absl::StatusCode::kNotFound);
    ASSERT_EQ(GetErrorFacts(failure).violations.size(), 1u);
    EXPECT_EQ(GetErrorFacts(failure).violations[0].field, field);
  }
}

TEST(Plan, ResultsThatMakeNoSenseFailTheJob) {
  const std::vector<std::pair<std::string, std::function<void(Json*)>>> cases = {
      {"measure", [](Json* result) { result->clear(); }},
      {"measure", [](Json* result) { (*result)["measured"]["top1_correct"] = 1001; }},
      {"measure", [](Json* result) { (*result)["measured"]["top1_correct"] = -1; }},
      {"measure", [](Json* result) { (*result)["measured"]["example_count"] = 0; }},
      {"measure", [](Json* result) { (*result)["measured"]["cross_entropy_sum"] = "NaN"; }},
      {"measure", [](Json* result) { (*result)["measured"]["top5_correct"] = "x"; }},
      {"inspect_checkpoint", [](Json* result) { (*result)["checkpoint"]["digest"] = ""; }},
      {"inspect_data_set", [](Json* result) { (*result)["data_set"].erase("digest"); }},
      {"inspect_architecture", [](Json* result) { result->clear(); }},
      {"write_soup", [](Json* result) { result->clear(); }},
  };
  for (const auto& [kind, spoil] : cases) {
    auto make = [&, &kind = kind, &spoil = spoil](const Task& task) {
      Fact fact = FakeResult(task);
      if (task.kind() == kind) spoil(&fact.result);
      return fact;
    };
    EXPECT_FALSE(RunCourse(FakeSpec(FakeUris(3)), 1, 2, make).end.failure.ok()) << kind;
  }
}

TEST(Plan, InspectionsBelongToOneScopeAndMeasuresToAll) {
  const Json spec = FakeSpec(FakeUris(3));
  PlanOptions other = Options();
  other.scope = "jobs/a@2";
  const Plan a(Parse(spec), Options());
  const Plan b(Parse(spec), other);
  MapLedger ledger_a, ledger_b;
  const PlanDecision inspect_a = a.Next(ledger_a), inspect_b = b.Next(ledger_b);
  for (size_t i = 0; i < inspect_a.wanted.size(); ++i) {
    EXPECT_NE(inspect_a.wanted[i].key, inspect_b.wanted[i].key);
    ledger_a.facts[inspect_a.wanted[i].key] = FakeResult(inspect_a.wanted[i]);
    ledger_b.facts[inspect_b.wanted[i].key] = FakeResult(inspect_b.wanted[i]);
  }
  EXPECT_EQ(a.Next(ledger_a).wanted[0].key, b.Next(ledger_b).wanted[0].key);
}

TEST(Plan, MeasuresRunWhereTheirNumericsAre) {
  const Plan plan(Parse(FakeSpec(FakeUris(2))), Options());
  MapLedger ledger;
  for (const Task& task : plan.Next(ledger).wanted) {
    EXPECT_EQ(task.numerics, "");
    ledger.Add(FakeResult(task));
  }
  for (const Task& task : plan.Next(ledger).wanted) EXPECT_EQ(task.numerics, kFakeNumerics);
}

TEST(Plan, WhatIsInspectedIsRankedWhileTheRestIsNot) {
  struct Known {
    const char* what;
    Json more;
    std::set<std::string> bad;
    std::vector<std::string> early;  // with all but the last of /0 to /3 inspected
  };
  const std::vector<std::string> uris = {"/0", "/1", "/2", "/3"};
  const Known cases[] = {
      {"ranked for certain", {}, {}, {"/0", "/1", "/2"}},
      {"a bad one ends the job", {}, {"/1"}, {}},
      {"a bad one is skipped", {{"on_bad_ingredient", "SKIP"}}, {"/1"}, {"/0", "/2"}},
      {"another order", {{"recipe", {{"greedy", {{"order", "AS_GIVEN"}}}}}}, {}, {}},
      {"a budget", {{"limits", {{"max_evaluations", 2}}}}, {}, {"/0", "/1"}}};
  for (const Known& test : cases) {
    SCOPED_TRACE(test.what);
    Json spec = FakeSpec(uris, test.more.is_null() ? Json::object() : test.more);
    const Plan plan(Parse(spec), Options());
    MapLedger ledger;
    for (const Task& task : plan.Next(ledger).wanted) {
      const bool checkpoint = task.kind() == "inspect_checkpoint";
      const std::string uri = checkpoint ? task.body["inspect_checkpoint"]["uri"] : "";
      if (uri == uris.back()) continue;
      Fact fact = FakeResult(task);
      if (test.bad.count(uri) > 0) fact.status = absl::DataLossError("no checkpoint");
      ledger.Add(std::move(fact));
    }
    const PlanDecision decision = plan.Next(ledger);
    ASSERT_EQ(decision.required, 1u);
    EXPECT_EQ(decision.wanted[0].kind(), "inspect_checkpoint");
    std::vector<std::string> early;
    for (size_t i = 1; i < decision.wanted.size(); ++i) {
      early.push_back(decision.wanted[i].body["measure"]["blend"]["ingredients"][0]["uri"]);
    }
    EXPECT_EQ(early, test.early);
  }
}

TEST(Plan, WantsAreCutWhereTheyWouldBeMany) {
  const Plan plan(Parse(FakeSpec(FakeUris(30))), Options());
  NextOptions options;
  options.max_wanted = 10;
  const PlanDecision decision = plan.Next(MapLedger(), options);
  EXPECT_EQ(decision.wanted.size(), 10u);
  EXPECT_EQ(decision.required, 10u);
  EXPECT_TRUE(decision.truncated);
  EXPECT_FALSE(plan.Next(MapLedger()).truncated);
}

TEST(Plan, MeasuresAreMadeForAFewDecisionsAhead) {
  const Plan plan(Parse(FakeSpec(FakeUris(100))), Options());
  MapLedger ledger;
  PlanDecision decision = plan.Next(ledger);
  EXPECT_GT(decision.wanted.size(), 100u) << "all inspections";
  EXPECT_FALSE(decision.truncated);
  for (const Task& task : decision.wanted) ledger.Add(FakeResult(task));
  decision = plan.Next(ledger);
  EXPECT_EQ(decision.wanted.size(), NextOptions().max_measures);
  EXPECT_EQ(decision.required, decision.wanted.size());
  EXPECT_TRUE(decision.truncated);
}

// The engine asks after every fact: with hundreds of ingredients that all join the soup, whole
// courses must stay cheap. Printed, not asserted: machines differ.
TEST(Plan, CostOfADecisionWithManyIngredients) {
  const Json spec = FakeSpec(FakeUris(300), {{"compute", {{"disable_early_stopping", true}}}});
  const Plan plan(Parse(spec), Options());
  int accepted = 0;
  auto make = [&](const Task& task) {
    Fact fact = FakeResult(task);
    if (task.kind() != "measure") return fact;
    const size_t size = task.body["measure"]["blend"]["ingredients"].size();
    if (size > 1)
      fact.result["measured"]["top1_correct"] = std::min<size_t>(600 + size, kFakeExampleCount);
    return fact;
  };
  MapLedger ledger;
  absl::flat_hash_set<std::string> told;
  NextOptions options;
  options.told = &told;
  absl::Duration slowest, total;
  int calls = 0;
  while (true) {
    const absl::Time start = absl::Now();
    const PlanDecision decision = plan.Next(ledger, options);
    const absl::Duration took = absl::Now() - start;
    slowest = std::max(slowest, took);
    total += took;
    ++calls;
    for (const Milestone& milestone : decision.milestones) told.insert(milestone.key);
    if (decision.finished) break;
    for (const Task& task : decision.wanted) ledger.Add(make(task));
  }
  accepted = static_cast<int>(plan.ReportResult(ledger)["blends"][2]["ingredients"].size());
  EXPECT_EQ(accepted, 300);
  std::printf("%d decisions, mean %s, slowest %s, soup of %d\n", calls,
              absl::FormatDuration(total / calls).c_str(), absl::FormatDuration(slowest).c_str(),
              accepted);
}

TEST(Plan, WhatRunsOutOfMemoryIsMeasuredOnceMoreWithHalfTheBatch) {
  int whole = 0, half = 0;
  auto make = [&](const Task& task) {
    if (task.kind() == "measure" && task.body["measure"]["blend"]["ingredients"].size() == 1 &&
        task.body["measure"]["blend"]["ingredients"][0]["uri"] == "/oom-1") {
      ++(task.body["measure"]["batch_size"] == 250 ? whole : half);
    }
    return FakeResult(task);
  };
  const Course course = RunCourse(FakeSpec({"/m0", "/oom-1"}), 1, 1, make);
  ASSERT_TRUE(course.end.failure.ok()) << course.end.failure;
  EXPECT_GE(whole, 1);
  EXPECT_GE(half, 1);
  const Json report = Json::parse(course.report);
  EXPECT_EQ(report["ingredients"][0]["scores"][0]["score"]["batch_size"], 250);
  EXPECT_EQ(report["ingredients"][1]["scores"][0]["score"]["batch_size"], 125);
  const bool told =
      std::any_of(course.milestones.begin(), course.milestones.end(), [](const auto& milestone) {
        return absl::StartsWith(milestone.first, "halved/") &&
               absl::StrContains(milestone.second, "batches of 125");
      });
  EXPECT_TRUE(told);

  // A second failure is the end: nothing is halved twice.
  const Course failed =
      RunCourse(FakeSpec({"/m0", "/oom-1"}, {{"compute", {{"batch_size", 400}}}}), 1, 1);
  EXPECT_EQ(failed.end.failure.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorFacts(failed.end.failure).reason, "OUT_OF_MEMORY");
}

TEST(Plan, ABudgetOfTimeEndsWhereItsFactSays) {
  const Json spec = FakeSpec(FakeUris(5), {{"limits", {{"max_worker_time", "10s"}}}});
  const Plan plan(Parse(spec), Options());
  MapLedger ledger;
  PlanDecision decision = plan.Next(ledger);
  EXPECT_TRUE(decision.end_budget.key.empty()) << "at least one ingredient is measured";
  while (decision.evaluations < 7) {
    const Task task = decision.wanted.front();
    ledger.Add(FakeResult(task));
    decision = plan.Next(ledger);
    ASSERT_FALSE(decision.finished);
  }
  ASSERT_FALSE(decision.end_budget.key.empty());
  Fact end;
  end.key = decision.end_budget.key;
  end.result = EndBudgetResult(decision.evaluations);
  ledger.facts[end.key] = end;
  while (!(decision = plan.Next(ledger)).finished) {
    for (const Task& task : decision.wanted) ledger.Add(FakeResult(task));
  }
  EXPECT_TRUE(decision.failure.ok());
  const Json report = plan.ReportResult(ledger);
  EXPECT_EQ(report["steps"].size(), 3u) << "five ingredients, two candidates";
  EXPECT_TRUE(absl::StartsWith(report["stopped_because"].get<std::string>(), "max_worker_time: "))
      << report["stopped_because"];
}

// A worker that proves that a candidate is not good enough, and one that measures it all.
TEST_P(PlanCourse, EarlyStoppingChangesNoResult) {
  const Json spec = SpecOf(GetParam());
  Json plain = spec;
  plain["compute"]["disable_early_stopping"] = true;
  const Course whole = RunCourse(plain, 3, 1);
  for (unsigned seed = 0; seed < 3; seed += Thinning()) {
    const Course stopped = RunCourse(spec, seed, 1 + static_cast<int>(seed));
    EXPECT_EQ(stopped.report, whole.report);
    EXPECT_EQ(stopped.end.failure, whole.end.failure);
  }
}

TEST(Plan, ARejectedCandidateIsToldByWhatItWasNotBetterThan) {
  const Json report = Json::parse(RunCourse(FakeSpec(FakeUris(9)), 1, 1).report);
  int rejected = 0;
  Json soup;  // its score so far
  for (const Json& step : report["steps"]) {
    if (step["accepted"]) {
      EXPECT_FALSE(step.contains("not_better_than"));
      soup = step["score"];
      continue;
    }
    ++rejected;
    EXPECT_FALSE(step.contains("score"));
    EXPECT_EQ(step["not_better_than"], soup);
  }
  EXPECT_GT(rejected, 0);

  const Json full = Json::parse(
      RunCourse(FakeSpec(FakeUris(9), {{"evaluation", {{"full_scores", true}}}}), 1, 1).report);
  for (const Json& step : full["steps"]) {
    EXPECT_TRUE(step.contains("score"));
    EXPECT_FALSE(step.contains("not_better_than"));
  }
  EXPECT_EQ(full["soup_digest"], report["soup_digest"]);
}

TEST(Plan, CandidatesComeWithABarAndTheRestWithout) {
  std::set<std::string> with_bar, without;
  const Course course = RunCourse(FakeSpec(FakeUris(6)), 1, 1, [&](const Task& task) {
    if (task.kind() != "measure") return FakeResult(task);
    const Json& measure = task.body["measure"];
    const bool on_held_out = absl::StrContains(task.description, "held_out");
    EXPECT_EQ(measure.contains("keep_margins"), on_held_out) << task.description;
    if (!measure.contains("bar")) {
      without.insert(task.key);
      EXPECT_TRUE(task.not_better_key.empty());
      return FakeResult(task);
    }
    with_bar.insert(task.key);
    EXPECT_TRUE(on_held_out);
    EXPECT_GT(measure["blend"]["ingredients"].size(), 1u);
    EXPECT_EQ(measure["bar"]["metric"], "TOP1");
    EXPECT_GE(measure["visiting_order_keys"].size(), 6u);
    return FakeResult(task);
  });
  EXPECT_TRUE(course.end.failure.ok());
  EXPECT_EQ(with_bar.size(), 5u);
  EXPECT_GE(without.size(), 6u);
}

// Beyond the ingredients' hull a BatchNorm variance may be negative, and the outputs no numbers.
TEST(Plan, PointsOfAnalysesWithoutNumbersAreLeftOut) {
  const auto no_number_outside = [](const Task& task) {
    Fact fact = FakeResult(task);
    if (task.kind() != "measure" || !task.body["measure"]["blend"].contains("coefficients")) {
      return fact;
    }
    for (const Json& coefficient : task.body["measure"]["blend"]["coefficients"]) {
      if (coefficient.get<double>() >= 0) continue;
      Fact failed;
      failed.status = WithReason(absl::DataLossError("NaN"), "NON_FINITE_OUTPUT");
      return failed;
    }
    return fact;
  };
  const Json spec = FakeSpec(FakeUris(3), {{"analysis",
                                            {{"pairs", {{"coefficients", {-0.25, 0.5}}}},
                                             {"landscape",
                                              {{"first", "m00.safetensors"},
                                               {"second", "m01.safetensors"},
                                               {"third", "m02.safetensors"},
                                               {"points", 5}}}}}});
  const Course course = RunCourse(spec, 1, 1, no_number_outside);
  ASSERT_TRUE(course.end.failure.ok()) << course.end.failure;
  const Json report = Json::parse(course.report);
  EXPECT_GT(report["landscape"]["points"].size(), 3u);
  EXPECT_LT(report["landscape"]["points"].size(), 25u);
  for (const Json& pair : report["pairs"]["pairs"]) EXPECT_EQ(pair["points"].size(), 1u);
}

TEST(Plan, AMetricOfTwoClassesIsRefusedWhereThereAreMore) {
  for (const char* metric : {"F1_BINARY", "MEAN_OF_ACCURACY_AND_F1"}) {
    const Course course =
        RunCourse(FakeSpec(FakeUris(2), {{"evaluation", {{"metric", metric}}}}), 1, 1);
    EXPECT_EQ(course.end.failure.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(course.end.failure.message(), "F1_MACRO takes any number"))
        << course.end.failure;
  }
}

TEST(Plan, MeasuresOfAJobThatMeasuresAgainAreItsOwn) {
  auto keys = [](const Json& extra) {
    const Course course = RunCourse(FakeSpec(FakeUris(2), extra), 1, 1);
    return std::set<std::string>(course.order.begin(), course.order.end());
  };
  const std::set<std::string> shared = keys(Json::object());
  const std::set<std::string> own = keys({{"compute", {{"measure_again", true}}}});
  std::vector<std::string> both;
  std::set_intersection(shared.begin(), shared.end(), own.begin(), own.end(),
                        std::back_inserter(both));
  EXPECT_GE(both.size(), 5u) << "the inspections";
  EXPECT_LE(both.size(), 6u) << "no measure, though perhaps the write of the same soup";
}

}  // namespace
}  // namespace stockpot
