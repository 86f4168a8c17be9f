// What the engine and the RPC servers tell their observers, in the terms of ServerMetrics.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_MAIN_OBSERVERS_H_
#define STOCKPOT_SERVER_MAIN_OBSERVERS_H_

#include <string>

#include "server/control/job/engine.h"
#include "server/control/metrics/measured_folders.h"
#include "server/control/metrics/metrics.h"
#include "server/control/rpc/call_observer.h"
#include "server/control/rpc/work_observer.h"

namespace stockpot {

class MeteredEngine final : public EngineObserver {
 public:
  // `metrics` must outlive the observer.
  explicit MeteredEngine(ServerMetrics* metrics) : metrics_(metrics) {}

  void JobEnded(JobState state) override {
    metrics_->CountJobEnded(std::string(JobStateName(state)));
  }
  void JobCounts(const UnfinishedJobs& jobs) override {
    metrics_->SetJobs(jobs.queued, jobs.running, jobs.suspended, jobs.oldest_queued);
  }
  void TaskEnded(const std::string& kind, const std::string& outcome, double seconds) override {
    metrics_->CountTaskEnded(kind, outcome, seconds);
  }
  void EvaluationEnded(int64_t examples_spared) override {
    metrics_->CountEvaluation(examples_spared);
  }
  void FactsLookedFor(int64_t known, int64_t unknown) override {
    metrics_->work().CountLookups(kFactCache, known, unknown);
  }
  void CandidateDecided(const std::string& decision) override {
    metrics_->CountCandidate(decision);
  }
  void WorkerCount(const WorkerCounts& local, const WorkerCounts& remote) override {
    metrics_->SetWorkers("local", local.connected, local.busy);
    metrics_->SetWorkers("remote", remote.connected, remote.busy);
  }

 private:
  ServerMetrics* const metrics_;
};

class MeteredWork final : public WorkObserver {
 public:
  // `metrics` must outlive the observer.
  explicit MeteredWork(ServerMetrics* metrics) : metrics_(metrics) {}

  void WorkCounted(const std::string& worker_id, const WorkCounts& so_far) override {
    metrics_->work().Report(worker_id, so_far);
  }
  void WorkerGone(const std::string& worker_id) override { metrics_->work().Forget(worker_id); }

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
