// How much memory this process has of its own. Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PEAK_MEMORY_H_
#define STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PEAK_MEMORY_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

namespace stockpot {

// Of this process, in KiB: without mapped files.
inline int64_t AnonymousMemory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (status >> word) {
    if (word == "RssAnon:") status >> kib;
  }
  return kib;
}

// The most that was seen while it lives.
class PeakMemory {
 public:
  PeakMemory() : sampler_([this] { Sample(); }) {}
  ~PeakMemory() { Stop(); }

  int64_t Stop() {
    stop_ = true;
    if (sampler_.joinable()) sampler_.join();
    return peak_;
  }

 private:
  void Sample() {
    while (!stop_) {
      peak_ = std::max(peak_, AnonymousMemory());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  std::atomic<bool> stop_ = false;
  int64_t peak_ = 0;  // the sampler's until it has ended
  std::thread sampler_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PEAK_MEMORY_H_
