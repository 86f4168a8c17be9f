// Thousands of schedules in which everything that can go wrong does, each decided by a seed.
//
//   STOCKPOT_SIMULATION_SCHEDULES=100000 STOCKPOT_SIMULATION_SEED=1 job_test
//       --gtest_filter=EngineSimulation.*     (the seeds from SEED on; STOCKPOT_SIMULATION_LOG=1:
//       what the servers log)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/control/job/job_run.h"
#include "tests/server/control/job/engine_fixture.h"
#include "tests/server/control/job/simulation.h"

namespace stockpot {
namespace {

unsigned FromEnvironment(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

// Jobs that share ingredients and measures with one another, under other rules.
struct Kind {
  const char* name;
  std::vector<std::string> uris;
  Json extra;
  // Whose work ended where it did because of when things happened: equal to its own ledger only.
  bool timed = false;
};

std::vector<Kind> Kinds() {
  const std::vector<std::string> uris = FakeUris(5);
  std::vector<std::string> mixed = FakeUris(3);
  mixed.insert(mixed.begin(), {"/same-1.a", "/oom-1", "/same-1.b"});
  std::vector<std::string> bad = FakeUris(3);
  bad.insert(bad.begin(), {"/bad-1", "/nan-1", "/misfit-1"});
  const Json not_worse = {{"recipe", {{"greedy", {{"acceptance", "NOT_WORSE"}}}}}};
  return {{"greedy", uris, Json::object()},
          {"one ahead", uris, {{"compute", {{"speculation", 3}}}}},
          {"not worse", mixed, not_worse},
          {"uniform", FakeUris(4), {{"recipe", {{"uniform", Json::object()}}}}},
          {"learned", FakeUris(3), {{"recipe", {{"learned", {{"epochs", 2}}}}}}},
          {"random orders",
           FakeUris(4),
           {{"recipe", {{"greedy", {{"order", "RANDOM"}, {"repeats", 2}}}}}}},
          {"comparisons",
           FakeUris(3),
           {{"comparisons", Json::array({{{"best_single", Json::object()}},
                                         {{"greedy_logit_ensemble", Json::object()}}})},
            {"analysis", {{"calibration", true}}}}},
          {"every ingredient", FakeUris(3), {{"evaluation", {{"report_every_ingredient", true}}}}},
          {"cross-entropy", uris, {{"evaluation", {{"metric", "CROSS_ENTROPY"}}}}},
          {"budget", uris, {{"limits", {{"max_evaluations", "7"}}}}},
          {"small budget", uris, {{"limits", {{"max_evaluations", "3"}}}}},
          {"half batches", {"/oom-1", "/sweep/m00.safetensors", "/oom-2"}, Json::object()},
          {"time", uris, {{"limits", {{"max_worker_time", "20s"}}}}, true},
          {"skip", bad, {{"on_bad_ingredient", "SKIP"}}}};
}

Json ResultOf(MemoryStore* store, const std::string& job) {
  return Json::parse(store->GetJob(job)->report)["result"];
}

// What is told of a job whatever happens to it: not its states, its failed attempts, nor what
// was lacking until it was retried.
std::set<std::string> MilestonesOf(const SimulatedJob& job) {
  std::set<std::string> keys;
  for (const std::string& key : job.keys) {
    const std::string kind = key.substr(0, key.find('/'));
    if (kind == "state" || kind == "attempt") continue;
    keys.insert(std::string(absl::StripSuffix(key, "/problem")));
  }
  return keys;
}

// The report that another server would make of what is stored.
Json ReplayOf(MemoryStore* store, const std::string& job, const std::string& folder) {
  const JobRecord record = *store->GetJob(job);
  auto run = JobRun::Load(record, {folder, "stockpotd test", {}}, store);
  EXPECT_TRUE(run.ok()) << run.status();
  if (!run.ok()) return Json();
  while ((*run)->stale()) EXPECT_TRUE((*run)->Step(1, store).ok());
  EXPECT_TRUE((*run)->decision().finished) << "seen anew, the job had not ended";
  if (record.state == JobState::kSucceeded) {
    EXPECT_TRUE((*run)->ReadExamples(store).ok());
  }
  return (*run)->plan().ReportResult((*run)->ledger());
}

class EngineSimulation : public testing::Test {
 protected:
  // Thousands of reports are written and synced: where there is one, into memory.
  EngineSimulation() : folder_(std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "") {}

  static NewJob MakeJob(const Kind& kind, const std::string& id) {
    NewJob job;
    job.id = id;
    job.spec = FakeSpec(kind.uris, kind.extra).dump();
    job.request_id = id;
    return job;
  }

  struct Undisturbed {
    Json result;
    std::set<std::string> milestones;
  };
  const Undisturbed& Expected(const Kind& kind) {
    auto [found, is_new] = expected_.try_emplace(kind.name);
    if (is_new) {
      Simulation simulation({0, 0, {MakeJob(kind, "a")}, true, folder_.path()}, &counts_);
      EXPECT_TRUE(simulation.Run()) << absl::StrJoin(simulation.problems(), "\n");
      found->second = {ResultOf(&simulation.store(), "jobs/a"),
                       MilestonesOf(simulation.jobs().front())};
    }
    return found->second;
  }

  void RunSchedule(unsigned seed) {
    std::mt19937 random(seed);
    SimulationOptions options;
    options.seed = seed;
    options.steps = 20 + static_cast<int>(random() % 300);
    options.folder = folder_.path();
    options.log = FromEnvironment("STOCKPOT_SIMULATION_LOG", 0) != 0;
    std::vector<const Kind*> kinds;
    for (size_t count = 1 + random() % 3; count > 0; --count) {
      kinds.push_back(&kinds_[random() % kinds_.size()]);
      const std::string number = absl::StrCat(kinds.size());
      options.jobs.push_back(MakeJob(*kinds.back(), absl::StrCat("job-", number)));
      options.jobs.back().priority = static_cast<int>(random() % 2);
      options.jobs.back().client = absl::StrCat("client ", random() % 2);
      options.quarantine &= kinds.back()->name != std::string("skip");
    }
    Simulation simulation(std::move(options), &counts_);
    ASSERT_TRUE(simulation.Run()) << absl::StrJoin(simulation.problems(), "\n");
    for (size_t i = 0; i < kinds.size(); ++i) {
      const SimulatedJob& job = simulation.jobs()[i];
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", job.name, ": ", kinds[i]->name));
      const Json result = ResultOf(&simulation.store(), job.name);
      EXPECT_EQ(result, ReplayOf(&simulation.store(), job.name, folder_.path()));
      if (kinds[i]->timed) continue;
      EXPECT_EQ(result, Expected(*kinds[i]).result);
      EXPECT_EQ(MilestonesOf(job), Expected(*kinds[i]).milestones);
    }
  }

  const TemporaryFolder folder_;
  const std::vector<Kind> kinds_ = Kinds();
  std::map<std::string, Undisturbed> expected_;
  HappeningCounts counts_;
};

TEST_F(EngineSimulation, EveryScheduleEndsAsTheUndisturbedOne) {
  const unsigned count = FromEnvironment("STOCKPOT_SIMULATION_SCHEDULES", 1200);
  const unsigned first = FromEnvironment("STOCKPOT_SIMULATION_SEED", 1);
  for (unsigned seed = first; seed - first < count; ++seed) {
    RunSchedule(seed);
    ASSERT_FALSE(HasFailure()) << "run it alone: STOCKPOT_SIMULATION_SCHEDULES=1 "
                               << "STOCKPOT_SIMULATION_SEED=" << seed;
  }
  for (const auto& [what, times] : counts_) {
    RecordProperty(what, times);
    // A check that cannot fail is none: what is meant to go wrong must have.
    if (count >= 1000) {
      EXPECT_GT(times, static_cast<int>(count / 10)) << what;
    }
  }
}

}  // namespace
}  // namespace stockpot
