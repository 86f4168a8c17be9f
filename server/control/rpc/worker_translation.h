// Between the messages of the worker protocol and the engine's plain structs.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_TRANSLATION_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_TRANSLATION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/work_counters.h"
#include "server/control/job/engine.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

WorkerInfo ToWorkerInfo(const worker::v1::Hello& hello);

// Names and numbers are the worker's own, unchecked, of at most as many caches and schemes as it
// can have.
WorkCounts ToWorkCounts(const worker::v1::WorkerCounters& counters);

// Errors: INTERNAL, a task that has no message.
absl::StatusOr<worker::v1::Assignment> ToAssignmentMessage(const Assignment& assignment);

// A result that contradicts itself becomes a fact with an INTERNAL status. The key is left empty.
Fact ToFact(worker::v1::Result result);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_TRANSLATION_H_
