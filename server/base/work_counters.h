// What a worker has done since its process began, for metrics: counted where it happens, read by
// whoever tells the server. Nothing depends on it.
//
//   counters->CountExamples(batch.count);
//   const WorkCounters::Busy busy(counters);  // until the end of the block
//   const WorkCounts so_far = counters->Read();
//
// Thread safety: WorkCounters is thread-safe; the structs are plain data.
#ifndef STOCKPOT_SERVER_BASE_WORK_COUNTERS_H_
#define STOCKPOT_SERVER_BASE_WORK_COUNTERS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace stockpot {

// Names of caches, as metrics have them.
inline constexpr char kDataSetCache[] = "data_sets";       // decoded data sets, on disk
inline constexpr char kCheckpointCache[] = "checkpoints";  // read, and mapped by a worker
inline constexpr char kDownloadCache[] = "downloads";      // files of other machines, on disk
inline constexpr char kLogitsCache[] = "logits";           // that measures kept, on disk

// Of looking for something in a cache.
struct CacheCounts {
  int64_t hits = 0, misses = 0;
};

// Of a scheme of URIs.
struct StorageCounts {
  int64_t requests = 0, errors = 0;
  int64_t bytes_read = 0, bytes_written = 0;
};

// Memory of a device, whoever takes it, as it was seen last. 0: not known.
struct DeviceMemory {
  std::string device;  // "cpu", "cuda:0"
  int64_t used_bytes = 0, total_bytes = 0;
};

// Cumulative, but for `memory` and `kept_checkpoint_bytes`, which are of now.
struct WorkCounts {
  int64_t examples = 0;                          // run through models
  double busy_seconds = 0;                       // with a model on the device
  double decode_seconds = 0;                     // in which data sets were decoded
  std::map<std::string, CacheCounts> caches;     // by name
  std::map<std::string, StorageCounts> storage;  // by scheme
  DeviceMemory memory;
  int64_t kept_checkpoint_bytes = 0;  // mapped, of all that kCheckpointCache holds
};

class WorkCounters {
 public:
  void CountExamples(int64_t count);
  void CountLookup(const std::string& cache, bool hit);
  void CountDecoding(absl::Duration duration);
  void CountStorage(const std::string& scheme, const StorageCounts& more);
  void SetMemory(DeviceMemory memory);
  void SetKeptCheckpointBytes(int64_t bytes);

  // The device is busy while one of them lives: one at a time.
  class Busy {
   public:
    explicit Busy(WorkCounters* counters);
    ~Busy();
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    WorkCounters* const counters_;
  };

  // With what a Busy that still lives has come to.
  WorkCounts Read() const;

 private:
  mutable absl::Mutex mutex_;
  WorkCounts counts_ ABSL_GUARDED_BY(mutex_);
  absl::Time busy_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // infinite: it is not
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_WORK_COUNTERS_H_
