// What a task gives. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_TASK_OUTCOME_H_
#define STOCKPOT_SERVER_WORKER_SESSION_TASK_OUTCOME_H_

#include <string>

#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

struct TaskOutcome {
  worker::v1::TaskResult result;
  std::string examples;  // of a measure: as Result.examples says
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_TASK_OUTCOME_H_
