// The server streams in progress: to tick them (progress, bookmarks) and to end them at stop.
// Thread safety: thread-safe. Streams are called without the registry's lock.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_STREAM_REGISTRY_H_
#define STOCKPOT_SERVER_CONTROL_RPC_STREAM_REGISTRY_H_

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace stockpot {

// One server stream. Both calls return at once.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void Tick(absl::Time now) = 0;
  // Ends the stream with this status once its message in flight, if any, is out.
  virtual void End(const absl::Status& status) = 0;
};

class StreamRegistry {
 public:
  // A stream that is added after EndAll is ended at once.
  void Add(const std::shared_ptr<Stream>& stream);
  void Remove(Stream* stream);
  void Tick(absl::Time now);
  void EndAll(const absl::Status& status);
  size_t size() const;

 private:
  std::vector<std::shared_ptr<Stream>> Snapshot() const;

  mutable absl::Mutex mutex_;
  // Weak, so that a stream ends when gRPC is done with it and not later.
  std::map<Stream*, std::weak_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_STREAM_REGISTRY_H_
