// A server stream that is pulled: the derived class is asked for the next message only when the
// one before has gone out, so a slow reader costs one message of memory and holds up nobody.
//
// Lifetime: owns itself from Start() until gRPC calls OnDone(); functions on their way to an
// executor thread hold it too. Thread safety: thread-safe; Next() is called by one thread at a
// time.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_STEPPED_STREAM_H_
#define STOCKPOT_SERVER_CONTROL_RPC_STEPPED_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/stream_registry.h"

namespace stockpot {

enum class StreamStep {
  kMessage,  // *message is to be sent
  kWait,     // nothing now; Wake() when there may be something
  kEnd,      // the stream ends OK
};

template <typename Message>
class SteppedStream : public grpc::ServerWriteReactor<Message>,
                      public Stream,
                      public std::enable_shared_from_this<SteppedStream<Message>> {
 public:
  SteppedStream(Executor* executor, StreamRegistry* registry)
      : executor_(executor), registry_(registry) {}

  // Once, right after construction.
  void Start() {
    self_ = this->shared_from_this();
    registry_->Add(self_);
    Wake();
  }

  void Tick(absl::Time) override {}

  void End(const absl::Status& status) override {
    {
      absl::MutexLock lock(&mutex_);
      if (!end_.has_value()) end_ = status;
    }
    Wake();
  }

 protected:
  // What to send next. May block on the store or a file. An error ends the stream.
  virtual absl::StatusOr<StreamStep> Next(Message* message) = 0;
  // gRPC is done with the stream: let go of what would call Wake().
  virtual void Closed() {}

  // Has Next() called soon, unless a message is on its way: then it is called after that.
  void Wake() {
    absl::MutexLock lock(&mutex_);
    again_ = true;
    if (stepping_ || writing_ || finished_) return;
    stepping_ = true;
    executor_->Run([self = this->shared_from_this()] { self->Step(); });
  }

 private:
  void Step() {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        again_ = false;
        if (end_.has_value()) {
          stepping_ = false;
          finished_ = true;
          this->Finish(ToGrpcStatus(*end_));
          return;
        }
      }
      const absl::StatusOr<StreamStep> step = Next(&message_);
      absl::MutexLock lock(&mutex_);
      if (!step.ok() || *step == StreamStep::kEnd) {
        if (!end_.has_value()) end_ = step.status();
      } else if (*step == StreamStep::kMessage) {
        stepping_ = false;
        writing_ = true;
        this->StartWrite(&message_);
        return;
      } else if (!again_ && !end_.has_value()) {
        stepping_ = false;
        return;
      }
    }
  }

  void OnWriteDone(bool ok) final {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok && !end_.has_value()) end_ = absl::CancelledError("the client went away");
    }
    Wake();
  }

  void OnCancel() final { End(absl::CancelledError("the client went away")); }

  void OnDone() final {
    Closed();
    registry_->Remove(this);
    const std::shared_ptr<Stream> keep_until_return = std::move(self_);
  }

  Executor* const executor_;
  StreamRegistry* const registry_;
  std::shared_ptr<SteppedStream> self_;  // set by Start(), cleared by OnDone()
  Message message_;                      // of the step in progress or the message on its way

  absl::Mutex mutex_;
  bool stepping_ ABSL_GUARDED_BY(mutex_) = false;  // Step() is queued or runs
  bool again_ ABSL_GUARDED_BY(mutex_) = false;     // Wake() was called since Next() began
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_STEPPED_STREAM_H_
