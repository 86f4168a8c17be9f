#include "client/cli/interruption.h"

#include <grpcpp/client_context.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace stockpot::cli {

void Interruption::Trigger() {
  absl::MutexLock lock(&mutex_);
  triggered_ = true;
  if (call_ != nullptr) call_->TryCancel();
}

bool Interruption::triggered() const {
  absl::MutexLock lock(&mutex_);
  return triggered_;
}

bool Interruption::Wait(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&triggered_), duration);
}

Interruption::CallScope::CallScope(Interruption& interruption, grpc::ClientContext& context)
    : interruption_(interruption) {
  absl::MutexLock lock(&interruption_.mutex_);
  interruption_.call_ = &context;
  if (interruption_.triggered_) context.TryCancel();
}

Interruption::CallScope::~CallScope() {
  absl::MutexLock lock(&interruption_.mutex_);
  interruption_.call_ = nullptr;
}

sigset_t InterruptingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  struct sigaction hangup = {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  return signals;
}

SignalListener::SignalListener(Interruption* interruption) : stop_event_(eventfd(0, EFD_CLOEXEC)) {
  const sigset_t signals = InterruptingSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int signal_event = signalfd(-1, &signals, SFD_CLOEXEC);
  thread_ = std::thread([interruption, signal_event, stop_event = stop_event_] {
    pollfd events[] = {{signal_event, POLLIN, 0}, {stop_event, POLLIN, 0}};
    while (poll(events, 2, -1) < 0) {
    }
    if ((events[0].revents & POLLIN) != 0) interruption->Trigger();
    close(signal_event);
  });
}

SignalListener::~SignalListener() {
  const uint64_t one = 1;
  // An eventfd takes eight bytes whole or, only when it is full, not at all.
  while (write(stop_event_, &one, sizeof(one)) < 0) {
  }
  thread_.join();
  close(stop_event_);
}

}  // namespace stockpot::cli
