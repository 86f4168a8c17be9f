// Workers that do what a test says. A ScriptedPool takes what the engine assigns to any of its
// workers; the test decides what becomes of each assignment, and in which order.
// Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_SCRIPTED_WORKER_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_SCRIPTED_WORKER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/engine.h"

namespace stockpot {

class ScriptedPool {
 public:
  struct Given {
    std::string worker;
    Assignment assignment;
  };

  explicit ScriptedPool(Engine* engine);
  ~ScriptedPool();

  absl::Status Connect(const std::string& worker, const std::string& numerics = "cpu fake");
  // The worker's process ends.
  void Kill(const std::string& worker);

  // Waits until `count` assignments are open; null result: not within a generous time.
  std::optional<std::vector<Given>> WaitForOpen(size_t count);
  // Waits until `condition` holds; false: not within a generous time.
  bool WaitUntil(std::function<bool()> condition);
  std::vector<Given> open();
  std::vector<std::string> cancelled();      // assignment ids, in order
  std::vector<std::string> shut_down();      // workers, in order
  std::vector<std::string> dropped();        // as above
  std::vector<std::string> assigned_keys();  // of all assignments ever, in order

  // Answers an open assignment.
  void Answer(const Given& given, Fact fact);
  // Answers with FakeResult() until the job has ended, taking open assignments in an order that
  // `seed` decides. False: it did not end within a generous time.
  bool RunToEnd(const std::string& job, unsigned seed = 0);
  // The same for a number of answers; stops early when the job has ended.
  int AnswerSome(const std::string& job, int count, unsigned seed = 0);

 private:
  class Link;
  void Add(const std::string& worker, const Assignment& assignment);

  Engine* const engine_;
  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  std::vector<Given> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> cancelled_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> shut_down_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> dropped_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> assigned_keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_SCRIPTED_WORKER_H_
