// One schedule: jobs, servers that follow each other on one store, workers, clients and watchers,
// all on one thread, on a clock that jumps, with what goes wrong decided by a seed. In the end
// everything works again, and every job must end as if nothing had ever happened.
//
// Source: DESIGN.md section 7; the idea: FoundationDB's simulation.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_TESTS_SERVER_CONTROL_JOB_SIMULATION_H_
#define STOCKPOT_TESTS_SERVER_CONTROL_JOB_SIMULATION_H_

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/memory_store.h"
#include "tests/support/fakes/single_thread_pool.h"
#include "tests/support/fakes/unreliable_store.h"

namespace stockpot {

class IgnoringObserver;

// How often something went wrong in all schedules, by name: a schedule in which nothing does
// proves nothing.
using HappeningCounts = std::map<std::string, int>;

struct SimulatedJob {
  std::string name;  // "jobs/…"
  NewJob request;
  bool accepted = false;
  // A watcher's own record: what it was told.
  int64_t seen = 0;
  std::vector<std::string> keys;
  bool ended = false;
};

struct SimulationOptions {
  unsigned seed = 0;
  int steps = 0;  // in which things go wrong; 0: an undisturbed run
  std::vector<NewJob> jobs;
  // Whether a task that is lost twice may fail its job: not where its ingredient would be skipped.
  bool quarantine = true;
  std::string folder;
  bool log = false;  // to standard error
};

class Simulation {
 public:
  Simulation(SimulationOptions options, HappeningCounts* counts);
  ~Simulation();

  // To the end of all jobs. False: something is not as it must be, and problems() says what.
  bool Run();
  const std::vector<std::string>& problems() const { return problems_; }

  const std::vector<SimulatedJob>& jobs() const { return jobs_; }
  MemoryStore& store() { return store_; }

 private:
  using Given = SingleThreadPool::Given;

  // What may happen, each once.
  void AnswerOne();
  void AnswerTwice();
  void AnswerFromThePast();
  void AnswerForAnother();
  void FailOne();
  void Heartbeat();
  void ConnectWorker();
  void KillWorker();
  void LetWorkerLeave();
  void HangWorker();
  void WakeWorker();
  void LetTimePass();
  void JumpInTime();
  void BreakStore();
  void MendStore();
  void DieSoon();
  void RestartInOrder();
  void Create();
  void Cancel();
  void Retry();
  void Delete();
  void Inspect();
  void Watch();

  void Disturb();
  void Settle();
  bool AllSucceeded();
  void CheckEnd();

  void StartServer();
  // The engine goes, and with it its workers; what they had may still arrive.
  void EndServer();
  void Turn();
  void BuryShutDown();
  void Read(SimulatedJob* job, int limit);
  SimulatedJob* AnyJob();
  size_t Draw(size_t limit) { return static_cast<size_t>(random_() % limit); }
  bool Hangs(const std::string& worker) const { return hung_.count(worker) > 0; }
  std::vector<size_t> Answerable() const;
  void Problem(const std::string& what);
  void Count(const char* what) { ++(*counts_)[what]; }

  const SimulationOptions options_;
  HappeningCounts* const counts_;
  std::mt19937 random_;
  FakeClock clock_;
  const std::unique_ptr<Log> log_;
  const std::unique_ptr<IgnoringObserver> observer_;
  MemoryStore store_;
  UnreliableStore::Witness witness_;
  std::vector<SimulatedJob> jobs_;
  std::unique_ptr<UnreliableStore> session_store_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SingleThreadPool> pool_;
  std::set<std::string> hung_;  // connected, and silent
  std::vector<Given> past_;     // that the engine has given up
  int last_worker_ = 0;
  std::vector<int> inspections_done_;  // how often each was answered
  std::vector<std::string> problems_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_CONTROL_JOB_SIMULATION_H_
