// An engine over a memory store and scripted workers, on a clock that the test moves.
#ifndef STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_
#define STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/memory_store.h"
#include "tests/support/fakes/scripted_worker.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

class IgnoringObserver final : public EngineObserver {
 public:
  void JobEnded(JobState) override {}
  void JobCounts(int, int) override {}
  void TaskEnded(const std::string&, const std::string&, double) override {}
  void ExamplesEvaluated(int64_t) override {}
  void WorkerCount(int, int) override {}
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
  IgnoringObserver observer_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_CONTROL_JOB_ENGINE_FIXTURE_H_
