#include "server/worker/session/work_report.h"

namespace stockpot {

worker::v1::WorkerCounters ToWorkerCounters(const WorkCounts& counts) {
  worker::v1::WorkerCounters message;
  message.set_examples_evaluated(counts.examples);
  message.set_device_busy_seconds(counts.busy_seconds);
  message.set_decode_seconds(counts.decode_seconds);
  for (const auto& [name, cache] : counts.caches) {
    worker::v1::CacheCounters* const added = message.add_caches();
    added->set_cache(name);
    added->set_hits(cache.hits);
    added->set_misses(cache.misses);
  }
  for (const auto& [scheme, storage] : counts.storage) {
    worker::v1::StorageCounters* const added = message.add_storage();
    added->set_scheme(scheme);
    added->set_requests(storage.requests);
    added->set_errors(storage.errors);
    added->set_bytes_read(storage.bytes_read);
    added->set_bytes_written(storage.bytes_written);
  }
  message.set_device(counts.memory.device);
  message.set_device_memory_used_bytes(counts.memory.used_bytes);
  message.set_device_memory_total_bytes(counts.memory.total_bytes);
  message.set_kept_checkpoint_bytes(counts.kept_checkpoint_bytes);
  return message;
}

}  // namespace stockpot
