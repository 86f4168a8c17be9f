// An engine over a memory store and scripted workers, on a clock that the test moves.
#ifndef STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_
#define STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/memory_store.h"
#include "tests/support/fakes/scripted_worker.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

class IgnoringObserver : public EngineObserver {
 public:
  void JobEnded(JobState) override {}
  void JobCounts(const UnfinishedJobs&) override {}
  void TaskEnded(const std::string&, const std::string&, double) override {}
  void EvaluationEnded(int64_t) override {}
  void FactsLookedFor(int64_t, int64_t) override {}
  void CandidateDecided(const std::string&) override {}
  void WorkerCount(const WorkerCounts&, const WorkerCounts&) override {}
};

// Remembers what metrics are made of. Thread-safe.
class CountingObserver final : public IgnoringObserver {
 public:
  struct Counts {
    UnfinishedJobs jobs;
    std::map<std::string, int64_t> candidates;  // by decision
    int64_t evaluations = 0, stopped_early = 0, examples_spared = 0;
    int64_t known = 0, unknown = 0;
  };
  Counts counts() const {
    absl::MutexLock lock(&mutex_);
    return counts_;
  }

  void JobCounts(const UnfinishedJobs& jobs) override {
    absl::MutexLock lock(&mutex_);
    counts_.jobs = jobs;
  }
  void EvaluationEnded(int64_t examples_spared) override {
    absl::MutexLock lock(&mutex_);
    ++counts_.evaluations;
    counts_.stopped_early += examples_spared > 0 ? 1 : 0;
    counts_.examples_spared += examples_spared;
  }
  void FactsLookedFor(int64_t known, int64_t unknown) override {
    absl::MutexLock lock(&mutex_);
    counts_.known += known;
    counts_.unknown += unknown;
  }
  void CandidateDecided(const std::string& decision) override {
    absl::MutexLock lock(&mutex_);
    ++counts_.candidates[decision];
  }

 private:
  mutable absl::Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

// One server's life: an engine and its workers. Several may follow each other on one store.
struct Server {
  Server(MemoryStore* store, Clock* clock, Log* log, EngineObserver* observer,
         const std::string& folder, Engine::Options options = {}) {
    options.artifact_folder = folder;
    options.software = "stockpotd test";
    options.tick = absl::Milliseconds(10);
    engine = *Engine::Create(std::move(options), store, clock, log, observer);
    pool = std::make_unique<ScriptedPool>(engine.get());
  }
  ~Server() {
    engine->Stop();
    pool.reset();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::unique_ptr<Engine> engine;
  std::unique_ptr<ScriptedPool> pool;
};

class EngineTest : public testing::Test {
 protected:
  std::unique_ptr<Server> Start(int workers, Engine::Options options = {}) {
    auto server = std::make_unique<Server>(&store_, &clock_, log_.get(), &observer_, folder_.path(),
                                           std::move(options));
    for (int i = 0; i < workers; ++i) {
      EXPECT_TRUE(server->pool->Connect(absl::StrCat("w", i)).ok());
    }
    return server;
  }

  static NewJob MakeJob(const std::string& id, const Json& spec) {
    NewJob job;
    job.id = id;
    job.spec = spec.dump();
    return job;
  }

  // {"result", "cost"}.
  Json Report(const std::string& job) {
    const absl::StatusOr<JobRecord> record = store_.GetJob(job);
    if (!record.ok() || record->report.empty()) return Json::object();
    return Json::parse(record->report);
  }

  std::vector<std::string> EventKeys(const std::string& job) {
    std::vector<std::string> keys;
    const absl::StatusOr<std::vector<EventRecord>> events = store_.ReadEvents(job, 0, 100000);
    if (!events.ok()) return keys;
    for (const EventRecord& event : *events) {
      EXPECT_EQ(event.sequence, static_cast<int64_t>(keys.size()) + 1);
      keys.push_back(event.key);
    }
    return keys;
  }

  TemporaryFolder folder_;
  MemoryStore store_;
  FakeClock clock_;
  std::unique_ptr<Log> log_ = Log::Silent();
  CountingObserver observer_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_
