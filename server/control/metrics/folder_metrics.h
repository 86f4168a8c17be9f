// How large the data folder's caches are, and how much room is left: looked at when Prometheus
// asks, but not more often than once a while, since a cache may hold many files.
//
//   stockpot_cache_size_bytes{cache}       gauge   data_sets, downloads, logits, facts (the store's
//                                                  files, with jobs and events)
//   stockpot_data_folder_free_bytes        gauge   of its file system, for this user
//   stockpot_data_folder_size_bytes        gauge   of its file system
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_FOLDER_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_FOLDER_METRICS_H_

#include <prometheus/collectable.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/control/metrics/measured_folders.h"

namespace stockpot {

class FolderMetrics final : public prometheus::Collectable {
 public:
  explicit FolderMetrics(MeasuredFolders folders) : folders_(std::move(folders)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::vector<double> CacheSizes() const;

  const MeasuredFolders folders_;
  mutable absl::Mutex mutex_;
  mutable absl::Time measured_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  mutable std::vector<double> sizes_ ABSL_GUARDED_BY(mutex_);  // of folders_.caches
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_FOLDER_METRICS_H_
