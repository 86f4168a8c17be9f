#include "server/worker/session/session.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/session/assignment_desk.h"
#include "server/worker/session/work_report.h"
#include "stockpot/worker/v1/worker_service.grpc.pb.h"

namespace stockpot {
namespace {

using worker::v1::Assignment;
using worker::v1::ServerMessage;
using worker::v1::WorkerMessage;
using worker::v1::WorkerService;

constexpr int kProtocolVersion = 1;

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

class Session {
 public:
  Session(const SessionOptions& options, TaskRunner* runner, Log* log)
      : options_(options), runner_(runner), log_(log) {}

  absl::Status Run(const DeviceInfo& device) {
    auto channel = grpc::CreateChannel(options_.server, grpc::InsecureChannelCredentials());
    if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + options_.connect_timeout))) {
      return absl::UnavailableError(absl::StrCat("no server at ", options_.server));
    }
    const auto stub = WorkerService::NewStub(channel);
    stream_ = stub->Work(&context_);
    SayHello(device);
    LookAtMemory();

    std::thread tasks([this] { RunTasks(); });
    std::thread heartbeat([this] { SendHeartbeats(); });
    const absl::StatusOr<bool> stream_ended = ReadMessages();
    desk_.Stop();
    // Frees a write that waits. A stream that has ended keeps the status it ended with.
    if (!stream_ended.ok() || !*stream_ended) context_.TryCancel();
    if (!desk_.WaitUntilIdle(options_.abandon_after)) {
      log_->Warning("task_abandoned", {{"worker", options_.worker_id}});
      // Nothing of this process outlives it but files, whose writers are ready for that.
      std::_Exit(EXIT_FAILURE);
    }
    tasks.join();
    heartbeat.join();
    const grpc::Status ended = stream_->Finish();
    if (!device_lost_.ok()) return device_lost_;
    if (!stream_ended.ok()) return stream_ended.status();
    return *stream_ended ? FromGrpc(ended) : absl::OkStatus();
  }

 private:
  void SayHello(const DeviceInfo& device) {
    WorkerMessage message;
    worker::v1::Hello* hello = message.mutable_hello();
    hello->set_protocol_version(kProtocolVersion);
    hello->set_worker_id(options_.worker_id);
    hello->set_device_kind(device.kind);
    hello->set_device_name(device.name);
    hello->set_numerics(device.numerics);
    hello->set_process_id(getpid());
    Write(message);
  }

  // True when the stream has ended, false when the server said shutdown.
  absl::StatusOr<bool> ReadMessages() {
    ServerMessage message;
    while (stream_->Read(&message)) {
      switch (message.message_case()) {
        case ServerMessage::kAssignment:
          RETURN_IF_ERROR(desk_.Put(std::move(*message.mutable_assignment())));
          break;
        case ServerMessage::kCancel:
          desk_.Cancel(message.cancel());
          break;
        case ServerMessage::kShutdown:
          return false;
        case ServerMessage::MESSAGE_NOT_SET:
          break;
      }
    }
    return true;
  }

  void RunTasks() {
    while (std::optional<Assignment> assignment = desk_.Take()) {
      const auto begin = std::chrono::steady_clock::now();
      absl::StatusOr<TaskOutcome> outcome = RunTask(assignment->task());
      if (!outcome.ok() && GetErrorFacts(outcome.status()).reason == "DEVICE_LOST") {
        // This process cannot use the device again: the attempt ends with the stream, and the
        // server starts another worker.
        device_lost_ = outcome.status();
        desk_.Finish();
        context_.TryCancel();
        return;
      }
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      SendResult(assignment->assignment_id(), std::move(outcome), seconds.count());
    }
  }

  absl::StatusOr<TaskOutcome> RunTask(const worker::v1::Task& task) {
    RETURN_IF_ERROR(desk_.KeepGoing(0, 0));
    auto last_sent = std::chrono::steady_clock::now();
    const auto interval = absl::ToChronoNanoseconds(options_.progress_interval);
    return runner_->Run(task, [&](int64_t done, int64_t total) -> absl::Status {
      RETURN_IF_ERROR(desk_.KeepGoing(done, total));
      const auto now = std::chrono::steady_clock::now();
      if (now - last_sent >= interval) {
        last_sent = now;
        LookAtMemory();
        SendProgress();
      }
      return absl::OkStatus();
    });
  }

  void SendResult(const std::string& assignment_id, absl::StatusOr<TaskOutcome> outcome,
                  double seconds) {
    WorkerMessage message;
    worker::v1::Result* result = message.mutable_result();
    result->set_assignment_id(assignment_id);
    LookAtMemory();
    if (options_.counters != nullptr) *result->mutable_counters() = Counters();
    result->set_code(static_cast<int>(outcome.status().code()));
    result->set_seconds(seconds);
    if (outcome.ok()) {
      *result->mutable_result() = std::move(outcome->result);
      result->set_examples(std::move(outcome->examples));
    } else {
      result->set_status(SerializeStatus(outcome.status()));
    }
    absl::MutexLock lock(&write_mutex_);
    desk_.Finish();  // before the result, so that no heartbeat follows it
    stream_->Write(message);
  }

  void SendHeartbeats() {
    while (!desk_.WaitForStop(options_.heartbeat_interval)) SendProgress();
  }

  void SendProgress() {
    absl::MutexLock lock(&write_mutex_);
    const std::optional<worker::v1::Progress> progress = desk_.CurrentProgress();
    if (!progress.has_value()) return;
    WorkerMessage message;
    *message.mutable_progress() = *progress;
    if (options_.counters != nullptr) *message.mutable_progress()->mutable_counters() = Counters();
    stream_->Write(message);
  }

  worker::v1::WorkerCounters Counters() const {
    return ToWorkerCounters(options_.counters->Read());
  }

  // Not for heartbeats, which must come also while a device does not answer.
  void LookAtMemory() const {
    if (options_.counters == nullptr || !options_.read_memory) return;
    options_.counters->SetMemory(options_.read_memory());
  }

  // A write that fails means that the stream has ended: reading notices.
  void Write(const WorkerMessage& message) {
    absl::MutexLock lock(&write_mutex_);
    stream_->Write(message);
  }

  const SessionOptions options_;
  TaskRunner* const runner_;
  Log* const log_;
  AssignmentDesk desk_;
  absl::Status device_lost_;  // written by the task thread, read once it has been joined
  grpc::ClientContext context_;
  absl::Mutex write_mutex_;  // one writer at a time
  // Constant once the threads run; reads by the caller's thread, writes under write_mutex_.
  std::unique_ptr<grpc::ClientReaderWriter<WorkerMessage, ServerMessage>> stream_;
};

}  // namespace

absl::Status RunSession(const SessionOptions& options, const DeviceInfo& device, TaskRunner* runner,
                        Log* log) {
  Session session(options, runner, log);
  return session.Run(device);
}

}  // namespace stockpot
