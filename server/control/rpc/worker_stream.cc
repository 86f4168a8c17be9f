#include "server/control/rpc/worker_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/worker_service.h"
#include "server/control/rpc/worker_translation.h"

namespace stockpot {

WorkerStream::WorkerStream(Engine* engine, const std::function<bool(const std::string&)>* is_known,
                           Executor* executor, Log* log, WorkObserver* observer)
    : engine_(engine), is_known_(is_known), executor_(executor), log_(log), observer_(observer) {}

void WorkerStream::Start() {
  self_ = shared_from_this();
  StartRead(&incoming_);
}

void WorkerStream::OnReadDone(bool ok) {
  if (!ok) return End(absl::OkStatus());  // the worker closed the stream or is gone
  executor_->Run([self = shared_from_this()] {
    const absl::Status status = self->Handle();
    if (!status.ok()) return self->End(status);
    self->incoming_.Clear();
    self->StartRead(&self->incoming_);
  });
}

absl::Status WorkerStream::Handle() {
  if (incoming_.has_hello()) return HandleHello(incoming_.hello());
  if (!connected_) return absl::FailedPreconditionError("the first message must be Hello");
  if (incoming_.has_progress()) {
    const worker::v1::Progress& progress = incoming_.progress();
    if (progress.has_counters()) HandleCounters(progress.counters());
    engine_->WorkerProgress(worker_id_, progress.assignment_id(), progress.examples_done());
  } else if (incoming_.has_result()) {
    worker::v1::Result& result = *incoming_.mutable_result();
    if (result.has_counters()) HandleCounters(result.counters());
    const std::string assignment_id = result.assignment_id();
    engine_->WorkerResult(worker_id_, assignment_id, ToFact(std::move(result)));
  }
  return absl::OkStatus();
}

void WorkerStream::HandleCounters(const worker::v1::WorkerCounters& counters) {
  if (observer_ != nullptr) observer_->WorkCounted(worker_id_, ToWorkCounts(counters));
}

absl::Status WorkerStream::HandleHello(const worker::v1::Hello& hello) {
  if (connected_) return absl::FailedPreconditionError("a second Hello");
  if (hello.protocol_version() != kWorkerProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the worker speaks protocol version ", hello.protocol_version(), ", this server ",
        kWorkerProtocolVersion, ": install both from the same release"));
  }
  if (!(*is_known_)(hello.worker_id())) {
    return absl::PermissionDeniedError("the server started no worker of this id");
  }
  worker_id_ = hello.worker_id();
  // From here on the engine may call the link, also if it does so before WorkerConnected returns.
  const absl::Status status = engine_->WorkerConnected(ToWorkerInfo(hello), this);
  if (!status.ok()) return status;
  connected_ = true;
  return absl::OkStatus();
}

void WorkerStream::Assign(const Assignment& assignment) {
  absl::StatusOr<worker::v1::Assignment> message = ToAssignmentMessage(assignment);
  if (message.ok()) {
    worker::v1::ServerMessage to_worker;
    *to_worker.mutable_assignment() = *std::move(message);
    return Send(std::move(to_worker));
  }
  // The engine may hold its own order of calls here, so it hears of this on another thread.
  executor_->Run([self = shared_from_this(), id = assignment.id, status = message.status()] {
    Fact fact;
    fact.status = status;
    self->engine_->WorkerResult(self->worker_id_, id, std::move(fact));
  });
}

void WorkerStream::Cancel(const std::string& assignment_id) {
  worker::v1::ServerMessage message;
  message.set_cancel(assignment_id);
  Send(std::move(message));
}

void WorkerStream::Shutdown() {
  worker::v1::ServerMessage message;
  message.set_shutdown(true);
  Send(std::move(message));
}

void WorkerStream::Send(worker::v1::ServerMessage message) {
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  outgoing_.push_back(std::move(message));
  WriteNext();
}

void WorkerStream::WriteNext() {
  if (writing_ || finished_) return;
  if (end_.has_value()) {
    finished_ = true;
    Finish(ToGrpcStatus(*end_));
  } else if (!outgoing_.empty()) {
    writing_ = true;
    StartWrite(&outgoing_.front());
  }
}

void WorkerStream::OnWriteDone(bool) {
  // A write that failed is followed by a read that fails, which ends the stream.
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  outgoing_.pop_front();
  WriteNext();
}

void WorkerStream::End(const absl::Status& status) {
  if (!status.ok()) log_->Warning("worker_refused", {{"error", status.ToString()}});
  absl::MutexLock lock(&mutex_);
  end_ = status;
  WriteNext();
}

void WorkerStream::OnDone() {
  // The last reaction has left the mutex, says gRPC; this makes it so by the C++ memory model as
  // well.
  { absl::MutexLock lock(&mutex_); }
  // Not on gRPC's thread: the engine may wait for the store.
  executor_->Run([self = std::move(self_)] {
    if (!self->connected_) return;
    if (self->observer_ != nullptr) self->observer_->WorkerGone(self->worker_id_);
    self->engine_->WorkerLost(self->worker_id_);
  });
}

}  // namespace stockpot
