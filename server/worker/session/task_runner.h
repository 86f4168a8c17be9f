// A worker's work: a task in, its result out. No gRPC here; session.h brings tasks and takes
// results.
//
// A result depends on the task alone, never on what ran before: kept checkpoints, data sets and
// models are only used where their digests are those of the task, and every measure writes all
// weights and buffers anew.
//
// Source: proto/stockpot/worker/v1/worker_service.proto says what each task does and gives.
// Thread safety: confined to one thread (the worker's task thread).
#ifndef STOCKPOT_SERVER_WORKER_SESSION_TASK_RUNNER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_TASK_RUNNER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/local_path.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/sources.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

struct TaskOutcome {
  worker::v1::TaskResult result;
  std::string examples;  // of a measure: as Result.examples says
};

class TaskRunner {
 public:
  struct Options {
    std::string device = "auto";  // as Runner::Load
    Sources::Options sources;
    size_t kept_models = 3;  // loaded architectures; each holds a whole model on the device
  };

  // Told of a measure's examples done and of all there are, before the first batch and after each;
  // of (0, 0) before each tensor of a soup. A result that is not OK ends the task with it.
  using Progress = std::function<absl::Status(int64_t done, int64_t total)>;

  TaskRunner(Options options, AllowList allow_list);

  // Errors: of the sources, the runner and the writer; FAILED_PRECONDITION (reason
  // CHECKPOINT_CHANGED) when a source is not what the task says; INVALID_ARGUMENT a task of no
  // known kind; what `progress` gave.
  absl::StatusOr<TaskOutcome> Run(const worker::v1::Task& task, const Progress& progress);

 private:
  absl::StatusOr<TaskOutcome> InspectCheckpoint(const worker::v1::InspectCheckpoint& task);
  absl::StatusOr<TaskOutcome> InspectArchitecture(const worker::v1::InspectArchitecture& task);
  absl::StatusOr<TaskOutcome> InspectDataSet(const worker::v1::InspectDataSet& task);
  absl::StatusOr<TaskOutcome> Measure(const worker::v1::Measure& task, const Progress& progress);

  // The model of an architecture, its weights those of whoever ran last. Good until the next call.
  absl::StatusOr<Runner*> Load(const std::string& uri, const Sources::Architecture& architecture);

  const Options options_;
  Sources sources_;
  LeastRecentlyUsed<std::string, std::unique_ptr<Runner>> runners_;  // by architecture digest
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_TASK_RUNNER_H_
