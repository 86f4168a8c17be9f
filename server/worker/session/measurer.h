// Tasks that run models over data sets: Measure, MeasureEnsemble, MeasureGap, LearnCoefficients.
//
// Logits that a measure keeps lie in the cache folder (evaluation/logits_cache.h); where a task
// needs them and they are gone or damaged, their measure is run again. Source:
// proto/stockpot/worker/v1/worker_service.proto says what each task does and gives. Thread safety:
// confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_MEASURER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_MEASURER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/base/work_counters.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/logits_cache.h"
#include "server/worker/session/sources.h"
#include "server/worker/session/task_outcome.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

class Measurer {
 public:
  // The model of an architecture, with anybody's weights; what `excluded` matches may be missing of
  // those to come. Good until the next call.
  using LoadModel =
      std::function<absl::StatusOr<Runner*>(const std::string& uri, const Sources::Architecture&,
                                            const std::vector<std::string>& excluded)>;
  struct Options {
    std::string logits_folder;      // must be makeable
    uint64_t max_logits_bytes = 0;  // as LogitsCache::Create
    std::string margins_folder;     // another one
    // May be null; must outlive this.
    const FailPoints* fail_points = nullptr;
    WorkCounters* counters = nullptr;  // never null; must outlive this
  };

  // `sources` must outlive this.
  Measurer(Options options, Sources* sources, LoadModel load_model);

  // `progress` counts examples, over all passes of a task: one, and one for each member that has to
  // be measured again; a gap's three soups. While sources are read it stays where it is.
  // Errors of all: of the sources, the runner and the metrics; FAILED_PRECONDITION (reason
  // CHECKPOINT_CHANGED); INVALID_ARGUMENT what the task may not ask for; RESOURCE_EXHAUSTED
  // (reason DISK_FULL) no room to keep logits; what `progress` gave.

  // `key` is the task's.
  absl::StatusOr<TaskOutcome> Measure(const std::string& key, const worker::v1::Measure& task,
                                      const Progress& progress);
  absl::StatusOr<TaskOutcome> MeasureEnsemble(const worker::v1::MeasureEnsemble& task,
                                              const Progress& progress);
  absl::StatusOr<TaskOutcome> MeasureGap(const worker::v1::MeasureGap& task,
                                         const Progress& progress);
  absl::StatusOr<TaskOutcome> LearnCoefficients(const worker::v1::LearnCoefficients& task,
                                                const Progress& progress);

 private:
  // What the passes of one task have in common.
  struct Opened {
    const worker::v1::Measure* measure = nullptr;
    Sources::Architecture architecture;
    std::shared_ptr<const DataSet> data_set;
    std::shared_ptr<const DataSet> batch_norm;  // null: statistics are averaged like weights
    OutputOptions outputs;
    Precision precision = Precision::kFloat32;

    // Of a pass: those that BatchNorm layers gather from come first, at most all of them.
    int64_t gathered() const { return batch_norm == nullptr ? 0 : batch_norm->size(); }
    int64_t examples() const { return gathered() + data_set->size(); }
  };
  // Over all passes of a task.
  class Passes;

  absl::StatusOr<Opened> Open(const worker::v1::Measure& measure, const Progress& reading);
  absl::StatusOr<LogitsCache> OpenCache() const;
  // One pass of a blend's model, in this order (as MeasureOptions has it).
  absl::Status RunPass(const Opened& opened, const worker::v1::Blend& blend, int batch_size,
                       const OutputSink& sink, const Progress& progress,
                       absl::Span<const int64_t> order = {});
  // One pass, scored. `logits` (may be null) has all of them after.
  absl::StatusOr<Measurement> Score(const Opened& opened, const worker::v1::Blend& blend,
                                    int batch_size, double temperature, std::vector<float>* logits,
                                    const Progress& progress);
  // One pass that may end early, with what is to be told of it.
  absl::StatusOr<TaskOutcome> MeasureAgainstBar(const Opened& opened, const std::string& key,
                                                const worker::v1::Measure& task,
                                                const Progress& progress);
  std::vector<int64_t> VisitingOrder(const Opened& opened, const worker::v1::Measure& task) const;
  // They are worth nothing but time: that they cannot be kept is no error.
  void KeepMargins(const Opened& opened, const std::string& key, const worker::v1::Measure& task,
                   const Measurement& measurement) const;
  absl::StatusOr<LogitsCache> OpenMargins() const;
  absl::StatusOr<KeptLogits> MeasureAndKeep(const Opened& opened, const std::string& key,
                                            const worker::v1::Blend& blend, int batch_size,
                                            const LogitsCache& cache, Measurement* measurement,
                                            const Progress& progress);
  // The members' logits, from the cache or made again; `more_passes` will follow.
  absl::StatusOr<std::vector<KeptLogits>> OpenMembers(
      const Opened& opened, const std::vector<const worker::v1::KeptLogits*>& members,
      int more_passes, Passes* passes);

  const Options options_;
  Sources* const sources_;
  const LoadModel load_model_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_MEASURER_H_
