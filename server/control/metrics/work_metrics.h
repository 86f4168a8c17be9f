// What workers counted, all of them together: each tells what it has counted since it began, and
// what is new of that is added here. One that begins anew has another id, and counts from zero.
//
//   stockpot_examples_evaluated_total           counter  run through models
//   stockpot_device_busy_seconds_total{device}  counter  cpu, cuda:0, …: with a model at work
//   stockpot_device_memory_used_bytes{device}   gauge    whoever takes it
//   stockpot_device_memory_size_bytes{device}   gauge
//   stockpot_decode_seconds_total               counter  data sets decoded into the cache
//   stockpot_cache_hits_total{cache}            counter  data_sets, checkpoints, downloads, logits,
//   stockpot_cache_misses_total{cache}          counter  facts
//   stockpot_checkpoint_cache_mapped_bytes      gauge    checkpoints that workers keep mapped
//   stockpot_storage_requests_total{scheme}     counter  http, https, hf, s3, gs, abfs, other; so
//   stockpot_storage_errors_total{scheme}       counter  are the next three
//   stockpot_storage_read_bytes_total{scheme}   counter
//   stockpot_storage_written_bytes_total{scheme} counter
//
// What a worker says is not believed: names that are not of these lists are "other", numbers that
// fall or are none count nothing. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_WORK_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_WORK_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/work_counters.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace stockpot {

class WorkMetrics {
 public:
  // `registry` must outlive this.
  explicit WorkMetrics(prometheus::Registry* registry);
  ~WorkMetrics();
  WorkMetrics(const WorkMetrics&) = delete;
  WorkMetrics& operator=(const WorkMetrics&) = delete;

  void Report(const std::string& worker_id, const WorkCounts& so_far);
  // It is gone: what it kept mapped counts no more.
  void Forget(const std::string& worker_id);

  // Of a cache that is the server's own.
  void CountLookups(absl::string_view cache, int64_t hits, int64_t misses);

 private:
  struct Families;
  void AddNew(const WorkCounts& before, const WorkCounts& now);
  void SetGauges() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<Families> families_;  // constant; the families are thread-safe themselves
  absl::Mutex mutex_;
  std::map<std::string, WorkCounts> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_WORK_METRICS_H_
