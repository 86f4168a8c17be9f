// What the engine and the RPC server tell their observers, in the terms of ServerMetrics.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_MAIN_OBSERVERS_H_
#define STOCKPOT_SERVER_MAIN_OBSERVERS_H_

#include <string>

#include "server/control/job/engine.h"
#include "server/control/metrics/metrics.h"
#include "server/control/rpc/call_observer.h"

namespace stockpot {

class MeteredEngine final : public EngineObserver {
 public:
  // `metrics` must outlive the observer.
  explicit MeteredEngine(ServerMetrics* metrics) : metrics_(metrics) {}

  void JobEnded(JobState state) override {
    metrics_->CountJobEnded(std::string(JobStateName(state)));
  }
  void JobCounts(int queued, int running) override { metrics_->SetJobs(queued, running); }
  void TaskEnded(const std::string& kind, const std::string& outcome, double seconds) override {
    metrics_->CountTaskEnded(kind, outcome, seconds);
  }
  void ExamplesEvaluated(int64_t count) override { metrics_->CountExamples(count); }
  void WorkerCount(int connected, int busy) override { metrics_->SetWorkers(connected, busy); }

 private:
  ServerMetrics* const metrics_;
};

class MeteredCalls final : public CallObserver {
 public:
  // `metrics` must outlive the observer.
  explicit MeteredCalls(ServerMetrics* metrics) : metrics_(metrics) {}

  void CallStarted(const CallName& call) override {
    metrics_->CountCallStarted({call.type, call.service, call.method});
  }
  void CallEnded(const CallName& call, const CallEnd& end) override {
    metrics_->CountCallEnded({call.type, call.service, call.method}, end.code, end.seconds);
  }

 private:
  ServerMetrics* const metrics_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_OBSERVERS_H_
