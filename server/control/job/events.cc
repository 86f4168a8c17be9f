#include "server/control/job/events.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace stockpot {

NewEvent StateEvent(const JobRecord& job, absl::Time now, const std::string& message) {
  const std::string state(JobStateName(job.state));
  return {absl::StrCat("state/", state, "/", job.last_sequence), now,
          DumpJson({{"state_changed", {{"state", state}, {"message", message}}}})};
}

NewEvent AttemptEvent(const Task& task, const TaskClaim& claim, const std::string& message,
                      bool will_retry, absl::Time now) {
  return {absl::StrCat("attempt/", task.key, "/", claim.fence), now,
          DumpJson({{"attempt_failed",
                     {{"task", task.description},
                      {"attempt", claim.attempt},
                      {"message", message},
                      {"will_retry", will_retry}}}})};
}

NewEvent MilestoneEvent(const Milestone& milestone, bool reused, absl::Time now) {
  Json body = milestone.body;
  if (reused && body.contains("blend_measured")) body["blend_measured"]["reused"] = true;
  return {milestone.key, now, DumpJson(body)};
}

bool IsMilestone(const std::string& event_key) {
  return !absl::StartsWith(event_key, "state/") && !absl::StartsWith(event_key, "attempt/");
}

bool IsRequeued(const std::string& event_key) {
  return absl::StartsWith(event_key, "state/QUEUED/");
}

std::optional<std::string> LostTaskOf(const std::string& event_key) {
  const std::vector<std::string> parts = absl::StrSplit(event_key, '/');
  if (parts.size() != 3 || parts[0] != "attempt") return std::nullopt;
  return parts[1];
}

std::optional<std::string> MeasuredFactOf(const std::string& milestone_key) {
  const std::vector<std::string> parts = absl::StrSplit(milestone_key, '/');
  if (parts.size() != 4 || parts[0] != "measured") return std::nullopt;
  return parts[3];
}

}  // namespace stockpot
