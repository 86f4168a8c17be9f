// One small job from an empty data folder to its end and its deletion, with a restart in between,
// on one thread, over the real SQLite store and the real files: while calls fail.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_TESTS_SERVER_CONTROL_FAIL_CALL_SMALL_JOB_H_
#define STOCKPOT_TESTS_SERVER_CONTROL_FAIL_CALL_SMALL_JOB_H_

#include <memory>
#include <string>
#include <vector>

#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "tests/support/failing_calls/failing_calls.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/single_thread_pool.h"
#include "tests/support/fakes/unreliable_store.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

class IgnoringObserver;

class SmallJob {
 public:
  explicit SmallJob(FailingCalls::Options options);
  ~SmallJob();

  // Everything. False: problems() says what is not as it must be.
  bool Run();

  const std::vector<std::string>& problems() const { return problems_; }
  const std::string& result() const { return result_; }  // of the report
  int64_t calls() const { return calls_.count(); }
  std::string failed() const { return calls_.failed(); }
  // Times the job was FAILED or SUSPENDED because of it.
  int failures() const { return failures_; }
  int suspensions() const { return suspensions_; }

 private:
  // Each tries again as whoever operates a server would, and mends what fails when it does not
  // stop by itself.
  void Open();
  absl::Status TryToOpen();
  void Close();
  void Create();
  void Work(int most_answers);
  void Delete();

  void Turn();
  void Watch();
  void LookAtState();
  void CheckStored();
  void CheckFiles(const JobRecord& job);
  void Refused(const char* what, const absl::Status& status);
  void Problem(const std::string& what);

  const TemporaryFolder folder_;
  FailingCalls calls_;
  FakeClock clock_;
  const std::unique_ptr<Log> log_ = Log::Silent();
  const std::unique_ptr<IgnoringObserver> observer_;
  UnreliableStore::Witness witness_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<UnreliableStore> witnessed_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SingleThreadPool> pool_;
  std::vector<std::string> event_keys_;
  JobState state_ = JobState::kQueued;
  int tries_ = 0, failures_ = 0, suspensions_ = 0, workers_ = 0;
  std::string result_;
  std::vector<std::string> problems_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_CONTROL_FAIL_CALL_SMALL_JOB_H_
