#include "server/worker/session/session.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
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
constexpr double kShortestHeartbeat = 0.05;  // seconds

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

class Session {
 public:
  Session(const SessionOptions& options, TaskRunner* runner, Log* log)
      : options_(options), runner_(runner), log_(log) {}

  absl::Status Run(const DeviceInfo& device) {
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Dial());
    const auto stub = WorkerService::NewStub(channel);
    stream_ = stub->Work(&context_);
    SayHello(device);
    LookAtMemory();

    std::thread tasks([this] { RunTasks(); });
    std::thread heartbeat([this] { SendHeartbeats(); });
    std::thread leaving([this] { LeaveWhenAsked(); });
    StopRequest* const stop = options_.remote.stop;
    if (stop != nullptr) stop->Listen([this] { desk_.Leave(); });
    const absl::StatusOr<bool> stream_ended = ReadMessages();
    if (stop != nullptr) stop->Listen(nullptr);
    desk_.Stop();
    // Frees a write that waits. A stream that has ended keeps the status it ended with.
    if (!stream_ended.ok() || !*stream_ended) context_.TryCancel();
    if (!desk_.WaitUntilIdle(options_.abandon_after)) {
      log_->Warning("task_abandoned", {{"worker", worker_id_}});
      // Nothing of this process outlives it but files, whose writers are ready for that.
      std::_Exit(EXIT_FAILURE);
    }
    tasks.join();
    heartbeat.join();
    leaving.join();
    const grpc::Status ended = stream_->Finish();
    if (!device_lost_.ok()) return device_lost_;
    if (!stream_ended.ok()) return stream_ended.status();
    return *stream_ended ? FromGrpc(ended) : absl::OkStatus();
  }

 private:
  bool is_child() const { return !options_.worker_id.empty(); }

  absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial() {
    if (!is_child()) return DialRemote();
    auto channel = grpc::CreateChannel(options_.server, grpc::InsecureChannelCredentials());
    if (channel->WaitForConnected(absl::ToChronoTime(absl::Now() + options_.connect_timeout))) {
      return channel;
    }
    return absl::UnavailableError(absl::StrCat("no server at ", options_.server));
  }

  // Does not wait: a call that cannot connect says why.
  std::shared_ptr<grpc::Channel> DialRemote() {
    const SessionOptions::Remote& remote = options_.remote;
    const int keepalive_ms = static_cast<int>(absl::ToInt64Milliseconds(remote.keepalive));
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit
    // Each session connects anew: who waits, and for how long, is the caller's to say.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!remote.token.empty()) context_.AddMetadata("authorization", "Bearer " + remote.token);
    return grpc::CreateCustomChannel(
        options_.server,
        remote.credentials != nullptr ? remote.credentials : grpc::InsecureChannelCredentials(),
        arguments);
  }

  void SayHello(const DeviceInfo& device) {
    WorkerMessage message;
    worker::v1::Hello* hello = message.mutable_hello();
    hello->set_protocol_version(kProtocolVersion);
    hello->set_worker_id(options_.worker_id);
    hello->set_device_kind(device.kind);
    hello->set_device_name(device.name);
    hello->set_numerics(device.numerics);
    hello->set_process_id(getpid());
    if (!is_child()) {
      hello->set_release(options_.remote.release);
      hello->set_data_folder(options_.remote.data_folder);
      hello->set_folder_id(options_.remote.folder_id);
    }
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
        case ServerMessage::kWelcome:
          HearWelcome(message.welcome());
          break;
        case ServerMessage::MESSAGE_NOT_SET:
          break;
      }
    }
    return true;
  }

  void HearWelcome(const worker::v1::Welcome& welcome) {
    worker_id_ = welcome.worker_id();
    if (welcome.heartbeat_seconds() >= kShortestHeartbeat) {
      heartbeat_seconds_ = std::min(welcome.heartbeat_seconds(), heartbeat_seconds_.load());
    }
    log_->Info("connected", {{"worker", worker_id_}, {"server", options_.server}});
    is_welcome_ = true;
    TellConnected();
  }

  void TellConnected() const {
    if (is_welcome_ && options_.remote.connected) options_.remote.connected();
  }

  void LeaveWhenAsked() {
    if (!desk_.WaitForLeave()) return;
    if (!is_welcome_) return context_.TryCancel();  // nothing was given yet
    WorkerMessage message;
    message.set_leaving(true);
    Write(message);
    // The server ends the stream once it has no task of ours.
    if (desk_.WaitForStop(options_.remote.drain_timeout)) return;
    desk_.HandBack();
    if (desk_.WaitForStop(options_.abandon_after)) return;
    context_.TryCancel();
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
    while (!desk_.WaitForStop(absl::Seconds(heartbeat_seconds_.load()))) {
      SendProgress();
      TellConnected();
    }
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
  std::string worker_id_ = options_.worker_id;  // of the reading thread
  std::atomic<double> heartbeat_seconds_ = absl::ToDoubleSeconds(options_.heartbeat_interval);
  std::atomic<bool> is_welcome_ = false;
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
