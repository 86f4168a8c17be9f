// Ctrl-C, or being told to end, as something a command can wait for and a call in flight is
// cancelled by.
// Thread safety: Interruption is thread-safe; its scopes and SignalListener belong to one thread.
#ifndef STOCKPOT_CLIENT_CLI_INTERRUPTION_H_
#define STOCKPOT_CLIENT_CLI_INTERRUPTION_H_

#include <csignal>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace grpc {
class ClientContext;
}  // namespace grpc

namespace stockpot::cli {

class Interruption {
 public:
  // Cancels the call in flight and every later one.
  void Trigger();
  bool triggered() const;
  // Waits this long; false at once when triggered.
  bool Wait(absl::Duration duration) const;

  // While it lives, an interruption cancels `context`'s call. One at a time; does not own.
  class CallScope {
   public:
    CallScope(Interruption& interruption, grpc::ClientContext& context);
    ~CallScope();
    CallScope(const CallScope&) = delete;
    CallScope& operator=(const CallScope&) = delete;

   private:
    Interruption& interruption_;
  };

 private:
  mutable absl::Mutex mutex_;
  bool triggered_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// SIGINT, SIGTERM, and SIGHUP but under nohup.
sigset_t InterruptingSignals();

// Turns these into Interruption::Trigger(). Make it before any other thread of the process: they
// inherit that the signals are blocked.
class SignalListener {
 public:
  explicit SignalListener(Interruption* interruption);
  ~SignalListener();
  SignalListener(const SignalListener&) = delete;
  SignalListener& operator=(const SignalListener&) = delete;

 private:
  int stop_event_;  // an eventfd
  std::thread thread_;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_INTERRUPTION_H_
