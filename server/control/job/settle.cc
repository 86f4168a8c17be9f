// Attempts that ended: store what they found, or count that they found nothing.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/events.h"

namespace stockpot {
namespace {

// The most of a failure's text that is kept: a worker's message may quote a whole traceback.
constexpr size_t kMostMessageBytes = 2000;
constexpr size_t kMostFactsBytes = 16000;

absl::Status Bounded(const absl::Status& status) {
  if (status.ok()) return status;
  ErrorFacts facts = GetErrorFacts(status);
  absl::Status bounded(status.code(), status.message().substr(0, kMostMessageBytes));
  bounded = WithFacts(std::move(bounded), facts);
  if (SerializeStatus(bounded).size() <= kMostFactsBytes) return bounded;
  return WithReason(absl::Status(status.code(), status.message().substr(0, kMostMessageBytes)),
                    facts.reason);
}

// Memory that others take may be free again; but a batch that does not fit will not fit next time:
// the plan asks for a smaller one.
bool MayEndOtherwise(const Task& task, const absl::Status& status) {
  return IsTransient(status) ||
         (GetErrorFacts(status).reason == "OUT_OF_MEMORY" && task.kind() != "measure");
}

}  // namespace

bool IsTransient(const absl::Status& status) {
  if (GetErrorFacts(status).reason == "OUT_OF_MEMORY") return false;
  return absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsCancelled(status) ||
         absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status);
}

void EngineImpl::SettleAttempts() {
  for (auto entry = attempts_.begin(); entry != attempts_.end();) {
    Attempt& attempt = entry->second;
    if (!attempt.ended()) {
      ++entry;
      continue;
    }
    if (!Settle(entry->first, &attempt)) return;
    RecordEnd(attempt);
    running_.erase(attempt.task.key);
    entry = attempts_.erase(entry);
  }
}

bool EngineImpl::Settle(const std::string& assignment_id, Attempt* attempt) {
  if (attempt->done != nullptr) {
    Fact fact;
    if (attempt->fact.has_value()) {
      fact = *std::move(attempt->fact);
    } else {
      fact.status = *attempt->lost;
    }
    fact.key = attempt->task.key;
    outbox_.push_back([done = attempt->done, fact = std::move(fact)] { done(fact); });
    return true;
  }
  auto job = jobs_.find(attempt->job);
  const std::string trouble = DiskTrouble(*attempt);
  if (!trouble.empty() && !attempt->cancelled && job != jobs_.end()) {
    return SuspendFor(&job->second, *attempt, trouble);
  }
  if (!trouble.empty()) return HandBack(*attempt);
  if (attempt->fact.has_value() && !MayEndOtherwise(attempt->task, attempt->fact->status)) {
    Fact fact = *attempt->fact;
    fact.status = Bounded(fact.status);
    return StoreFact(*attempt, fact);
  }
  if (!attempt->cancelled && !attempt->handed_back) {
    return CountLoss(*attempt, attempt->lost.has_value() ? *attempt->lost : attempt->fact->status);
  }
  log_->Debug("task_cancelled", {{"job", attempt->job}, {"assignment", assignment_id}});
  return HandBack(*attempt);
}

std::string EngineImpl::DiskTrouble(const Attempt& attempt) const {
  if (!attempt.fact.has_value()) return "";
  const absl::Status& status = attempt.fact->status;
  auto job = jobs_.find(attempt.job);
  if (attempt.task.kind() == "write_soup" && job != jobs_.end()) {
    return ArtifactTrouble(job->second, status);
  }
  // Other tasks write caches and read what is the client's, whose errors have no such reason.
  const std::string reason = GetErrorFacts(status).reason;
  return reason == "DISK_FULL" || reason == "STORAGE_READ_ONLY" ? reason : "";
}

bool EngineImpl::HandBack(const Attempt& attempt) {
  const absl::Status status = store_->HandBackTask(attempt.task.key, attempt.claim.fence);
  return absl::IsAborted(status) || StoreWorks(status, nullptr);
}

bool EngineImpl::StoreFact(const Attempt& attempt, const Fact& arrived) {
  Fact fact = arrived;
  fact.key = FactKey(attempt.task, fact.result);
  fact.job = attempt.job;
  Reach("result_arrived");
  const absl::Status status =
      store_->FinishTask(attempt.task.key, attempt.claim.fence, fact, clock_->Now());
  auto job = jobs_.find(attempt.job);
  if (absl::IsAborted(status)) {  // the claim was taken over, or its job deleted
    log_->Warning("late_result_dropped",
                  {{"job", attempt.job}, {"task", attempt.task.description}});
    return true;
  }
  if (!StoreWorks(status, job == jobs_.end() ? nullptr : &job->second)) return false;
  log_->Debug("task_stored",
              {{"job", attempt.job},
               {"task", attempt.task.description},
               {"assignment", absl::StrCat(attempt.task.key, "/", attempt.claim.fence)},
               {"outcome", absl::StatusCodeToString(fact.status.code())}});
  Reach("fact_stored");
  if (job != jobs_.end()) job->second.resume_delay = absl::ZeroDuration();
  fact.examples.clear();
  for (auto& [name, other] : jobs_) {
    // A failure is the business of the job that met it.
    if (other.run != nullptr && (fact.status.ok() || name == attempt.job)) other.run->Offer(fact);
  }
  return true;
}

bool EngineImpl::SuspendFor(Job* job, const Attempt& attempt, const std::string& reason) {
  if (!HandBack(attempt)) return false;
  log_->Warning("job_suspended", {{"job", attempt.job},
                                  {"reason", reason},
                                  {"error", std::string(attempt.fact->status.message())}});
  Suspend(job, reason);
  return true;
}

bool EngineImpl::CountLoss(const Attempt& attempt, const absl::Status& why) {
  auto found = jobs_.find(attempt.job);
  if (found == jobs_.end() || found->second.run == nullptr) {
    const absl::Status status = store_->ReleaseTask(attempt.task.key, attempt.claim.fence);
    return absl::IsAborted(status) || StoreWorks(status, nullptr);
  }
  Job& job = found->second;
  const std::string& key = attempt.task.key;
  const int losses = job.run->LossesOf(key) + 1;
  const bool will_retry = losses < options_.max_attempts;
  log_->Warning("attempt_failed", {{"job", attempt.job},
                                   {"task", attempt.task.description},
                                   {"error", std::string(why.message())}});
  // The event first: it is how a later process knows of the loss, and telling twice is harmless.
  const absl::Status told =
      Write(&job, job.record,
            {AttemptEvent(attempt.task, attempt.claim, std::string(why.message()), will_retry,
                          clock_->Now())});
  if (!StoreWorks(told, &job)) return false;
  if (will_retry) {
    const absl::Status status = store_->ReleaseTask(key, attempt.claim.fence);
    if (!absl::IsAborted(status) && !StoreWorks(status, &job)) return false;
  } else {
    Fact fact;
    fact.status =
        Bounded(Annotate(why, absl::StrCat(attempt.task.description, ": ", losses,
                                           " attempts ended without a result, the last")));
    if (!StoreFact(attempt, fact)) return false;
  }
  job.run->CountLoss(key);
  return true;
}

void EngineImpl::RecordEnd(const Attempt& attempt) {
  std::string outcome = attempt.handed_back ? "cancelled" : "lost";
  if (attempt.fact.has_value()) {
    outcome = attempt.fact->status.ok() ? "ok" : attempt.cancelled ? "cancelled" : "failed";
  }
  observer_->TaskEnded(attempt.task.kind(), outcome,
                       absl::ToDoubleSeconds(clock_->Now() - attempt.started));
  if (outcome != "ok") return;
  const absl::StatusOr<MeasureCost> cost = ReadMeasureCost(*attempt.fact);
  if (cost.ok()) observer_->EvaluationEnded(cost->examples_spared);
}

}  // namespace stockpot
