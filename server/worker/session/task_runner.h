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

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/base/work_counters.h"
#include "server/storage/local_path.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/measurer.h"
#include "server/worker/session/sources.h"
#include "server/worker/session/task_outcome.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

class TaskRunner {
 public:
  struct Options {
    std::string device = "auto";  // as Runner::Load
    Sources::Options sources;
    // Below which of its architectures AOTInductor packages, machine code, may be loaded: none.
    AllowList compiled;
    size_t kept_models = 3;  // loaded architectures; each holds a whole model on the device
    // As Sources has it; null: none. Must outlive the runner.
    RemoteFiles* remote_files = nullptr;
    // Where a test ends the process; null: nowhere. Must outlive the runner.
    const FailPoints* fail_points = nullptr;
    // What is counted of the work; null: nobody reads it. Must outlive the runner.
    WorkCounters* counters = nullptr;
  };

  TaskRunner(Options options, AllowList allow_list);

  // `progress` counts, by the kind of task: examples evaluated; tensors read of a checkpoint or of
  // the file that holds a classifier, after the mebibytes of it that are downloaded; images decoded
  // of a data set; for a soup, tensors read of its ingredients and examples that BatchNorm layers
  // gather from (of a total not yet known), then tensors written; of a comparison, tensors read,
  // then compared; of artifacts, mebibytes. While a measure or learning reads its sources it is (0,
  // total). Errors: of the sources, the runner and the writer; FAILED_PRECONDITION (reason
  // CHECKPOINT_CHANGED) when a source is not what the task says; INVALID_ARGUMENT a task of no
  // known kind; what `progress` gave. After RESOURCE_EXHAUSTED (reason OUT_OF_MEMORY) no model is
  // kept and unused memory is given back, so that a smaller task may succeed.
  absl::StatusOr<TaskOutcome> Run(const worker::v1::Task& task, const Progress& progress);

 private:
  absl::StatusOr<TaskOutcome> RunKind(const worker::v1::Task& task, const Progress& progress);
  absl::StatusOr<TaskOutcome> InspectCheckpoint(const worker::v1::InspectCheckpoint& task,
                                                const Progress& progress);
  absl::StatusOr<TaskOutcome> InspectArchitecture(const worker::v1::InspectArchitecture& task,
                                                  const Progress& progress);
  absl::StatusOr<TaskOutcome> InspectDataSet(const worker::v1::InspectDataSet& task,
                                             const Progress& progress);
  absl::StatusOr<TaskOutcome> ListSources(const worker::v1::ListSources& task,
                                          const Progress& progress);
  absl::StatusOr<TaskOutcome> InspectClassifier(const worker::v1::InspectClassifier& task,
                                                const Progress& progress);
  absl::StatusOr<TaskOutcome> WriteSoup(const worker::v1::WriteSoup& task,
                                        const Progress& progress);
  absl::StatusOr<TaskOutcome> CompareWeights(const worker::v1::CompareWeights& task,
                                             const Progress& progress);
  void Reach(absl::string_view fail_point) const;

  // Whether the operator trusts the URI with machine code.
  bool MayBeCompiled(const std::string& uri) const;

  // The model of an architecture, its weights those of whoever ran last; what `excluded` matches
  // may be missing of those to come. Good until the next call.
  absl::StatusOr<Runner*> Load(const std::string& uri, const Sources::Architecture& architecture,
                               const std::vector<std::string>& excluded = {});

  // Fills in the counters where nobody reads any.
  static Options Counted(Options options, WorkCounters* unread);

  WorkCounters unread_counters_;
  const Options options_;
  const AllowList allow_list_;
  Sources sources_;
  LeastRecentlyUsed<std::string, std::unique_ptr<Runner>> runners_;  // by architecture digest
  Measurer measurer_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_TASK_RUNNER_H_
