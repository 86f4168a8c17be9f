#include "server/control/rpc/watch_stream.h"

#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/control/rpc/job_translation.h"

namespace stockpot {

WatchStream::WatchStream(const v1::WatchJobRequest& request,
                         std::function<absl::Status()> permitted, Engine* engine, Clock* clock,
                         Executor* executor, StreamRegistry* registry)
    : SteppedStream(executor, registry),
      permitted_(std::move(permitted)),
      engine_(engine),
      clock_(clock),
      name_(request.name()),
      cursor_(request.after_sequence()),
      last_bookmark_(clock->Now()) {}

absl::StatusOr<StreamStep> WatchStream::Next(v1::JobEvent* event) {
  event->Clear();
  if (!open_) RETURN_IF_ERROR(Open());
  while (next_in_page_ == page_.events.size()) {
    if (page_.ended) return StreamStep::kEnd;
    if (!TakeChanged()) {
      return NextProgress(event) || NextBookmark(event) ? StreamStep::kMessage : StreamStep::kWait;
    }
    RETURN_IF_ERROR(ReadPage());
  }
  ASSIGN_OR_RETURN(*event, ToJobEvent(page_.events[next_in_page_++]));
  return StreamStep::kMessage;
}

absl::Status WatchStream::Open() {
  open_ = true;
  RETURN_IF_ERROR(permitted_());
  RETURN_IF_ERROR(CheckJobName(name_));
  if (cursor_ < 0) return InvalidField("after_sequence", "must not be negative");
  ASSIGN_OR_RETURN(const JobView job, engine_->GetJob(name_));
  if (cursor_ > job.record.last_sequence) {
    return WithReason(absl::OutOfRangeError(absl::StrCat("after_sequence ", cursor_,
                                                         " is beyond the job's last event, ",
                                                         job.record.last_sequence)),
                      "SEQUENCE_OUT_OF_RANGE");
  }
  // Subscribed before the first page is read, so that no event falls between.
  const std::weak_ptr<SteppedStream> weak = weak_from_this();
  std::unique_ptr<Engine::Subscription> subscription = engine_->Subscribe(name_, [this, weak] {
    const std::shared_ptr<SteppedStream> alive = weak.lock();
    if (alive == nullptr) return;
    {
      absl::MutexLock lock(&mutex_);
      changed_ = true;
    }
    Wake();
  });
  // A subscription's destructor waits for a running call, which takes the lock: destroy it outside.
  {
    absl::MutexLock lock(&mutex_);
    if (!closed_) subscription_.swap(subscription);
  }
  return absl::OkStatus();
}

void WatchStream::Closed() {
  std::unique_ptr<Engine::Subscription> subscription;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    subscription_.swap(subscription);
  }
}

bool WatchStream::TakeChanged() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(changed_, false);
}

absl::Status WatchStream::ReadPage() {
  ASSIGN_OR_RETURN(page_, engine_->ReadEvents(name_, cursor_, kPageSize));
  next_in_page_ = 0;
  if (page_.events.empty()) return absl::OkStatus();
  cursor_ = page_.events.back().sequence;
  if (page_.events.size() < static_cast<size_t>(kPageSize)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  changed_ = true;  // there may be more
  return absl::OkStatus();
}

void WatchStream::Tick(absl::Time now) {
  {
    absl::MutexLock lock(&mutex_);
    progress_due_ = true;
    if (now - last_bookmark_ >= kBookmarkInterval) {
      bookmark_due_ = true;
      last_bookmark_ = now;
    }
  }
  Wake();
}

bool WatchStream::NextProgress(v1::JobEvent* event) {
  {
    absl::MutexLock lock(&mutex_);
    if (!progress_due_) return false;
  }
  v1::Progress progress = ToProgress(page_.progress);
  if (google::protobuf::util::MessageDifferencer::Equals(progress, sent_progress_)) return false;
  {
    absl::MutexLock lock(&mutex_);
    progress_due_ = false;
  }
  sent_progress_ = progress;
  *event->mutable_time() = ToTimestamp(clock_->Now());
  *event->mutable_progress() = std::move(progress);
  return true;
}

bool WatchStream::NextBookmark(v1::JobEvent* event) {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(bookmark_due_, false)) return false;
  *event->mutable_time() = ToTimestamp(clock_->Now());
  event->mutable_bookmark()->set_sequence(cursor_);
  return true;
}

}  // namespace stockpot
