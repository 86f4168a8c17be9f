// A program with the fault that its argument names, or none ("guarded"): CMakeLists.txt says what
// must be reported.
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

struct Counter {
  absl::Mutex mutex;
  int guarded = 0;
  int bare = 0;
  bool written = false;
};

// Both threads count under the mutex, and the one waits for what the other writes; with `race` they
// count outside too.
int CountOnTwoThreads(bool race) {
  Counter counter;
  auto count = [&] {
    if (race) {
      ++counter.bare;  // before any lock, which could put the two in an order by chance
    }
    for (int i = 0; i < 1000; ++i) {
      absl::MutexLock lock(&counter.mutex);
      ++counter.guarded;
    }
  };
  int handed_over = 0;
  absl::Notification done;
  std::thread other([&] {
    count();
    absl::MutexLock lock(&counter.mutex);
    counter.written = true;
    handed_over = 1;
    done.Notify();
  });
  count();
  counter.mutex.LockWhen(absl::Condition(&counter.written));
  counter.mutex.Unlock();
  done.WaitForNotification();
  const int result = handed_over;
  other.join();
  return result == 1 && counter.guarded == 2000 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int UseAfterFree() {
  volatile int* freed = new int(0);
  delete freed;
  return *freed;
}

int Leak() {
  volatile int* lost = new int(0);
  lost = nullptr;
  return lost == nullptr ? EXIT_SUCCESS : EXIT_FAILURE;
}

int Overflow() {
  volatile int largest = std::numeric_limits<int>::max();
  return largest + 1 > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string fault = argc == 2 ? argv[1] : "";
  if (fault == "guarded" || fault == "race") {
    return CountOnTwoThreads(fault == "race");
  }
  if (fault == "freed") {
    return UseAfterFree();
  }
  if (fault == "leak") {
    return Leak();
  }
  if (fault == "overflow") {
    return Overflow();
  }
  std::cerr << "sanitizer_faults: no fault '" << fault << "'\n";
  return EXIT_FAILURE;
}
