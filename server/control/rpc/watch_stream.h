// WatchJob: a cursor into the engine's events, never a queue that grows. A page of at most 100
// events is held, and read again only when it has gone out.
//
// Promises etcd's six (https://etcd.io/docs/v3.5/learning/api/#watch-api), each a test of that name
// in tests/server/control/rpc/watch_test.cc: ordered, unique, reliable, atomic, resumable,
// bookmarked. Ends OK after the final event; progress at most once per tick and a bookmark every
// 30 s, both with sequence 0 and only when all stored events have been sent.
// Thread safety: as SteppedStream.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WATCH_STREAM_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WATCH_STREAM_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/stepped_stream.h"
#include "stockpot/v1/job.pb.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

class WatchStream final : public SteppedStream<v1::JobEvent> {
 public:
  static constexpr absl::Duration kBookmarkInterval = absl::Seconds(30);
  static constexpr int kPageSize = 100;

  // `engine`, `clock`, `executor` and `registry` must outlive the stream. `permitted` is asked
  // first, on an executor thread.
  WatchStream(const v1::WatchJobRequest& request, std::function<absl::Status()> permitted,
              Engine* engine, Clock* clock, Executor* executor, StreamRegistry* registry);

  void Tick(absl::Time now) override;

 private:
  absl::StatusOr<StreamStep> Next(v1::JobEvent* event) override;
  void Closed() override;
  absl::Status Open();
  absl::Status ReadPage();
  bool TakeChanged();
  bool NextProgress(v1::JobEvent* event);
  bool NextBookmark(v1::JobEvent* event);

  const std::function<absl::Status()> permitted_;
  Engine* const engine_;
  Clock* const clock_;
  const std::string name_;

  // Used by Next() only.
  bool open_ = false;
  int64_t cursor_;  // the last sequence that was read into page_
  Engine::EventPage page_;
  size_t next_in_page_ = 0;
  v1::Progress sent_progress_;

  absl::Mutex mutex_;
  std::unique_ptr<Engine::Subscription> subscription_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool changed_ ABSL_GUARDED_BY(mutex_) = true;
  bool progress_due_ ABSL_GUARDED_BY(mutex_) = true;
  bool bookmark_due_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time last_bookmark_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WATCH_STREAM_H_
