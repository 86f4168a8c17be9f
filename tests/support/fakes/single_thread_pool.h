// Workers for an engine without a thread (Engine::Options::own_thread): what the engine assigns is
// taken down, and nothing happens until the test says what.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_SINGLE_THREAD_POOL_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_SINGLE_THREAD_POOL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/control/job/engine.h"

namespace stockpot {

class SingleThreadPool {
 public:
  struct Given {
    std::string worker;
    Assignment assignment;
    bool cancelled = false;
  };

  // Destroy the engine first, or Lose() every worker: it calls them to its end.
  explicit SingleThreadPool(Engine* engine);
  ~SingleThreadPool();
  SingleThreadPool(const SingleThreadPool&) = delete;
  SingleThreadPool& operator=(const SingleThreadPool&) = delete;

  absl::Status Connect(const std::string& worker, const std::string& numerics);
  // The worker's process ends; what it had is returned.
  std::vector<Given> Lose(const std::string& worker);
  // Told to shut down since the last call; they are still connected.
  std::vector<std::string> TakeShutDown();

  std::vector<std::string> workers() const;
  // What waits for an answer, in the order in which it was given.
  const std::vector<Given>& open() const { return open_; }
  // Answers open()[index].
  void Answer(size_t index, Fact fact);

 private:
  class Link;

  Engine* const engine_;
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::vector<Given> open_;
  std::vector<std::string> shut_down_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_SINGLE_THREAD_POOL_H_
