// What this version of the recipes decides, fact by fact, kept in golden/*.json: a stored job must
// go on as it began, so a recipe that decides differently needs another version.
//
//   STOCKPOT_WRITE_GOLDEN=1 build/release/tests/recipe_test --gtest_filter='Golden*'
//
// writes the files anew: those of the table below from made-up results, any other
// (shared_sweep.json holds a real run's facts, see golden/README.md) from the facts that are in it.
//
// A file: recipe_version; spec; job and scope (PlanOptions); facts in the order in which they came;
// decisions, one before the first fact and one after each; the result part of the report.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/recipe/plan.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/map_ledger.h"

namespace stockpot {
namespace {

constexpr char kFolder[] = "tests/server/recipe/golden";
constexpr int kSpeculation = 2;

struct GoldenCase {
  const char* name;
  std::vector<std::string> uris;
  Json extra;
};

// Two of each group.
Json InGroups(const std::vector<std::string>& uris) {
  Json ingredients = Json::array();
  for (size_t i = 0; i < uris.size(); ++i) {
    ingredients.push_back({{"uri", uris[i]}, {"group", absl::StrCat("run ", i / 2)}});
  }
  return ingredients;
}

Json AllComparisons() {
  return Json::array({{{"best_single", Json::object()}},
                      {{"learned", Json::object()}},
                      {{"greedy", {{"order", "RANDOM"}, {"repeats", 2}}}},
                      {{"logit_ensemble", Json::object()}},
                      {{"greedy_logit_ensemble", Json::object()}}});
}

std::vector<GoldenCase> Cases() {
  const std::vector<std::string> uris = FakeUris(6);
  std::vector<std::string> bad = FakeUris(3);
  bad.insert(bad.begin() + 1, {"/bad-1", "/misfit-1", "/nan-1"});
  const Json not_worse = {{"recipe", {{"greedy", {{"acceptance", "NOT_WORSE"}}}}}};
  return {
      {"greedy", uris, Json::object()},
      {"greedy_not_worse", uris, not_worse},
      {"greedy_top5", uris, {{"evaluation", {{"metric", "TOP5"}}}}},
      {"greedy_cross_entropy", uris, {{"evaluation", {{"metric", "CROSS_ENTROPY"}}}}},
      {"greedy_skip", bad, {{"on_bad_ingredient", "SKIP"}}},
      {"greedy_bad", bad, Json::object()},
      {"greedy_identical", {"/same-1.a", "/same-2", "/same-1.b", "/sweep/m00"}, not_worse},
      {"greedy_every_ingredient",
       FakeUris(4),
       {{"evaluation", {{"report_every_ingredient", true}}}}},
      {"greedy_budget", uris, {{"limits", {{"max_evaluations", "8"}}}}},
      {"greedy_small_budget", uris, {{"limits", {{"max_evaluations", "3"}}}}},
      {"greedy_half_batches", {"/oom-1", "/sweep/m00", "/sweep/m01"}, Json::object()},
      {"uniform", uris, {{"recipe", {{"uniform", Json::object()}}}}},
      {"best_single", uris, {{"recipe", {{"best_single", Json::object()}}}}},
      {"learned", uris, {{"recipe", {{"learned", {{"epochs", 2}}}}}}},
      {"learned_per_tensor",
       FakeUris(3),
       {{"recipe", {{"learned", {{"per_tensor", true}, {"constraint", "FREE"}}}}}}},
      {"greedy_as_given", uris, {{"recipe", {{"greedy", {{"order", "AS_GIVEN"}}}}}}},
      {"greedy_random_orders",
       uris,
       {{"recipe", {{"greedy", {{"order", "RANDOM"}, {"seed", "7"}, {"repeats", 3}}}}}}},
      {"greedy_ordered_by_ensembles",
       uris,
       {{"recipe", {{"greedy", {{"ensemble_ranking", "ORDER_CANDIDATES"}}}}}}},
      {"greedy_filtered_by_ensembles",
       uris,
       {{"recipe", {{"greedy", {{"ensemble_ranking", "FILTER_CANDIDATES"}}}}}}},
      {"greedy_groups", {}, {{"ingredients", InGroups(uris)}}},
      {"greedy_full_scores", FakeUris(4), {{"evaluation", {{"full_scores", true}}}}},
      {"greedy_regression", FakeUris(4), {{"evaluation", {{"problem", "REGRESSION"}}}}},
      {"greedy_bfloat16", FakeUris(4), {{"compute", {{"precision", "BFLOAT16"}}}}},
      {"wise_ft_selected",
       FakeUris(3),
       {{"model", {{"base_uri", "/sweep/base.safetensors"}}},
        {"recipe", {{"greedy", not_worse["recipe"]["greedy"]}, {"wise_ft", {{"select", true}}}}}}},
      {"batch_norm",
       FakeUris(4),
       {{"model", {{"architecture_uri", "/models/norm.pt"}}},
        {"batch_norm", {{"data_set", {{"uri", "/data/train.safetensors"}}}}}}},
      {"comparisons", uris, {{"comparisons", AllComparisons()}}},
      {"analyses",
       FakeUris(4),
       {{"model", {{"base_uri", "/sweep/base.safetensors"}}},
        {"analysis",
         {{"calibration", true},
          {"angles", true},
          {"pairs", {{"approximation", true}}},
          {"landscape",
           {{"first", "base"},
            {"second", "m00.safetensors"},
            {"third", "m01.safetensors"},
            {"points", 3}}}}}}}};
}

Json Keys(const std::vector<Task>& tasks, size_t begin, size_t end) {
  Json keys = Json::array();
  for (size_t i = begin; i < end; ++i) keys.push_back(tasks[i].key.substr(0, 12));
  return keys;
}

Json DecisionJson(const PlanDecision& decision) {
  Json told = Json::array();
  for (const Milestone& milestone : decision.milestones) told.push_back(milestone.key);
  Json json = {{"required", Keys(decision.wanted, 0, decision.required)},
               {"ahead", Keys(decision.wanted, decision.required, decision.wanted.size())},
               {"told", told}};
  if (decision.finished) json["finished"] = decision.failure.ToString();
  return json;
}

Json FactJson(const Fact& fact) {
  Json json = {{"key", fact.key}};
  if (!fact.result.is_null()) json["result"] = fact.result;
  if (!fact.status.ok()) json["status"] = SerializeStatus(fact.status);
  return json;
}

Fact ParseFact(const Json& json) {
  Fact fact;
  fact.key = json["key"];
  if (json.contains("result")) fact.result = json["result"];
  if (json.contains("status"))
    fact.status = ParseSerializedStatus(json["status"].get<std::string>());
  return fact;
}

// A plan that is asked after each fact, as the engine asks.
class Follower {
 public:
  Follower(const Json& spec, const std::string& job, const std::string& scope)
      : plan_(*ParseJobSpec(spec, "spec", {}), {job, scope, "/artifacts", "golden"}) {
    Ask();
  }

  void Add(const Fact& fact) {
    ledger_.facts[fact.key] = fact;
    Ask();
  }
  const PlanDecision& decision() const { return decision_; }
  const Json& decisions() const { return decisions_; }
  Json Result() const { return plan_.ReportResult(ledger_); }
  std::string version() const { return plan_.recipe_version(); }

 private:
  void Ask() {
    NextOptions options;
    options.speculation = kSpeculation;
    options.told = &told_;
    decision_ = plan_.Next(ledger_, options);
    decisions_.push_back(DecisionJson(decision_));
    for (const Milestone& milestone : decision_.milestones) told_.insert(milestone.key);
  }

  const Plan plan_;
  MapLedger ledger_;
  absl::flat_hash_set<std::string> told_;
  PlanDecision decision_;
  Json decisions_ = Json::array();
};

// Facts come in an order that no recipe asked for, some ahead of their turn.
Json MakeUp(const GoldenCase& course) {
  Json golden = {{"spec", FakeSpec(course.uris, course.extra)},
                 {"job", "jobs/golden"},
                 {"scope", "jobs/golden@1"},
                 {"facts", Json::array()}};
  std::mt19937 random(1);
  Follower follower(golden["spec"], golden["job"], golden["scope"]);
  while (!follower.decision().finished && !follower.decision().wanted.empty()) {
    const std::vector<Task>& wanted = follower.decision().wanted;
    const Fact fact = FakeResult(wanted[random() % wanted.size()]);
    golden["facts"].push_back(FactJson(fact));
    follower.Add(fact);
  }
  return golden;
}

Json Follow(const Json& golden, std::string* version) {
  Follower follower(golden["spec"], golden["job"], golden["scope"]);
  for (const Json& fact : golden["facts"]) follower.Add(ParseFact(fact));
  *version = follower.version();
  return {{"decisions", follower.decisions()}, {"result", follower.Result()}};
}

void Write(const std::filesystem::path& path, Json golden) {
  std::string version;
  const Json followed = Follow(golden, &version);
  golden.update(followed);
  golden["recipe_version"] = version;
  // One line for each fact and decision: what changed is to be seen.
  std::ofstream file(path);
  file << "{\n";
  for (const char* list : {"facts", "decisions"}) {
    file << Json(list).dump() << ": [\n";
    for (size_t i = 0; i < golden[list].size(); ++i) {
      file << golden[list][i].dump() << (i + 1 < golden[list].size() ? ",\n" : "\n");
    }
    file << "],\n";
    golden.erase(list);
  }
  file << golden.dump(2).substr(2) << "\n";
}

std::vector<std::filesystem::path> GoldenFiles() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  return paths;
}

Json ReadGolden(const std::filesystem::path& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

class GoldenLedgers : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("STOCKPOT_WRITE_GOLDEN") == nullptr) return;
    for (const GoldenCase& course : Cases()) {
      Write(std::filesystem::path(kFolder) / absl::StrCat(course.name, ".json"), MakeUp(course));
    }
    for (const auto& path : GoldenFiles()) Write(path, ReadGolden(path));
  }
};

TEST_F(GoldenLedgers, AreDecidedAsWhenTheyWereWritten) {
  const auto paths = GoldenFiles();
  ASSERT_GE(paths.size(), Cases().size());
  for (const std::filesystem::path& path : paths) {
    const Json golden = ReadGolden(path);
    std::string version;
    const Json now = Follow(golden, &version);
    const std::string advice =
        absl::StrCat(path.filename().string(), ": jobs that began with recipe ",
                     golden["recipe_version"].get<std::string>(),
                     " would not go on as they began. If that is meant, raise the recipe's "
                     "version() and write new files: see golden_test.cc.");
    EXPECT_EQ(version, golden["recipe_version"]) << advice;
    for (size_t i = 0; i < golden["decisions"].size(); ++i) {
      ASSERT_EQ(now["decisions"][i], golden["decisions"][i])
          << "after " << i << " facts; " << advice;
    }
    EXPECT_EQ(now["result"], golden["result"]) << advice;
    EXPECT_TRUE(golden["decisions"].back().contains("finished")) << path << " does not end";
  }
}

}  // namespace
}  // namespace stockpot
