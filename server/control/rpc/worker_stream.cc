#include "server/control/rpc/worker_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/worker_translation.h"

namespace stockpot {

namespace {

// A task's key and a number.
constexpr size_t kMostAssignmentId = 256;

absl::Status CheckAssignmentId(const std::string& id) {
  if (id.size() <= kMostAssignmentId) return absl::OkStatus();
  return absl::FailedPreconditionError("an assignment id that no server gives");
}

}  // namespace

WorkerStream::WorkerStream(Options options)
    : options_(std::move(options)), engine_(options_.engine) {
  options_.open_streams->fetch_add(1);
}

WorkerStream::~WorkerStream() { options_.open_streams->fetch_sub(1); }

void WorkerStream::Start() {
  self_ = shared_from_this();
  StartRead(&incoming_);
}

void WorkerStream::OnReadDone(bool ok) {
  if (!ok) return End(absl::OkStatus());  // the worker closed the stream or is gone
  {
    absl::MutexLock lock(&mutex_);
    handling_ = true;
  }
  options_.executor->Run([self = shared_from_this()] {
    const absl::Status status = self->Handle();
    self->incoming_.Clear();
    if (!status.ok()) self->End(status);
    absl::MutexLock lock(&self->mutex_);
    self->handling_ = false;
    if (self->end_.has_value()) return self->WriteNext();
    self->StartRead(&self->incoming_);
  });
}

absl::Status WorkerStream::Handle() {
  if (incoming_.has_hello()) return HandleHello(incoming_.hello());
  if (!connected_) return absl::FailedPreconditionError("the first message must be Hello");
  if (incoming_.has_progress()) {
    const worker::v1::Progress& progress = incoming_.progress();
    RETURN_IF_ERROR(CheckAssignmentId(progress.assignment_id()));
    if (progress.has_counters()) HandleCounters(progress.counters());
    engine_->WorkerProgress(worker_id_, progress.assignment_id(),
                            std::max<int64_t>(progress.examples_done(), 0));
  } else if (incoming_.has_result()) {
    worker::v1::Result& result = *incoming_.mutable_result();
    RETURN_IF_ERROR(CheckAssignmentId(result.assignment_id()));
    if (result.has_counters()) HandleCounters(result.counters());
    const std::string assignment_id = result.assignment_id();
    engine_->WorkerResult(worker_id_, assignment_id, ToFact(std::move(result)));
  } else if (incoming_.leaving()) {
    engine_->WorkerLeaving(worker_id_);
  }
  return absl::OkStatus();
}

void WorkerStream::HandleCounters(const worker::v1::WorkerCounters& counters) {
  if (options_.observer == nullptr) return;
  options_.observer->WorkCounted(worker_id_, ToWorkCounts(counters));
}

absl::Status WorkerStream::HandleHello(const worker::v1::Hello& hello) {
  if (connected_) return absl::FailedPreconditionError("a second Hello");
  ASSIGN_OR_RETURN(const WorkerInfo info, options_.admission->Admit(hello));
  worker_id_ = info.id;
  if (info.is_remote) {
    options_.log->Info(
        "worker_dialled",
        {{"worker", worker_id_}, {"client", options_.client}, {"peer", options_.peer}});
    Welcome(worker_id_);
  }
  // From here on the engine may call the link, also if it does so before WorkerConnected returns.
  const absl::Status status = engine_->WorkerConnected(info, this);
  if (!status.ok()) return status;
  connected_ = true;
  return absl::OkStatus();
}

void WorkerStream::Welcome(const std::string& worker_id) {
  worker::v1::ServerMessage message;
  message.mutable_welcome()->set_worker_id(worker_id);
  message.mutable_welcome()->set_heartbeat_seconds(absl::ToDoubleSeconds(options_.heartbeat));
  Send(std::move(message));
}

void WorkerStream::Assign(const Assignment& assignment) {
  absl::StatusOr<worker::v1::Assignment> message = ToAssignmentMessage(assignment);
  if (message.ok()) {
    worker::v1::ServerMessage to_worker;
    *to_worker.mutable_assignment() = *std::move(message);
    return Send(std::move(to_worker));
  }
  // The engine may hold its own order of calls here, so it hears of this on another thread.
  options_.executor->Run(
      [self = shared_from_this(), id = assignment.id, status = message.status()] {
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

void WorkerStream::Drop() { End(absl::UnavailableError("this server gave the worker up")); }

void WorkerStream::Send(worker::v1::ServerMessage message) {
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  outgoing_.push_back(std::move(message));
  WriteNext();
}

void WorkerStream::WriteNext() {
  if (writing_ || finished_) return;
  if (end_.has_value()) {
    if (handling_) return;  // a read may not follow Finish()
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
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  if (!status.ok()) {
    options_.log->Warning("worker_refused", {{"peer", options_.peer},
                                             {"worker", worker_id_},
                                             {"error", std::string(status.message())}});
  }
  end_ = status;
  WriteNext();
}

void WorkerStream::OnDone() {
  // The last reaction has left the mutex, says gRPC; this makes it so by the C++ memory model as
  // well.
  { absl::MutexLock lock(&mutex_); }
  // Not on gRPC's thread: the engine may wait for the store.
  options_.executor->Run([self = std::move(self_)] {
    if (!self->connected_) return;
    WorkObserver* const observer = self->options_.observer;
    if (observer != nullptr) observer->WorkerGone(self->worker_id_);
    self->engine_->WorkerLost(self->worker_id_);
  });
}

}  // namespace stockpot
