// The events of a job as they are stored: key, time and body (JSON mapping of
// stockpot.v1.JobEvent). Keys make telling idempotent: the store drops a key it has. They also let
// a new process know what was told and how often a task was lost.
//
//   state/{STATE}/{sequence before}      attempt/{task key}/{fence}      a milestone's own key
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_EVENTS_H_
#define STOCKPOT_SERVER_CONTROL_JOB_EVENTS_H_

#include <optional>
#include <string>

#include "server/control/job/store.h"
#include "server/recipe/plan.h"

namespace stockpot {

// "Now `job` is in its state", with a message for people.
NewEvent StateEvent(const JobRecord& job, absl::Time now, const std::string& message);

NewEvent AttemptEvent(const Task& task, const TaskClaim& claim, const std::string& message,
                      bool will_retry, absl::Time now);

// `reused`: the measure it tells of was not made for this job.
NewEvent MilestoneEvent(const Milestone& milestone, bool reused, absl::Time now);

// What an event's key says to a process that takes the job up.
bool IsMilestone(const std::string& event_key);  // neither of a state nor of an attempt
bool IsRequeued(const std::string& event_key);   // state/QUEUED/…
std::optional<std::string> LostTaskOf(const std::string& event_key);          // attempt/…
std::optional<std::string> MeasuredFactOf(const std::string& milestone_key);  // measured/…

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_EVENTS_H_
