// What a worker counted of its work, as the protocol has it. Thread safety: the function is
// thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_WORK_REPORT_H_
#define STOCKPOT_SERVER_WORKER_SESSION_WORK_REPORT_H_

#include "server/base/work_counters.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

worker::v1::WorkerCounters ToWorkerCounters(const WorkCounts& counts);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_WORK_REPORT_H_
