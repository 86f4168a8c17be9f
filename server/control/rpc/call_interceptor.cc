#include "server/control/rpc/call_interceptor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/random_id.h"
#include "server/control/rpc/call_metadata.h"
#include "stockpot/v1/soup_service.grpc.pb.h"

namespace stockpot {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::ServerRpcInfo;

std::string CodeName(grpc::StatusCode code) {
  constexpr std::array<const char*, 17> kNames = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "Unknown";
}

std::string TypeName(ServerRpcInfo::Type type) {
  switch (type) {
    case ServerRpcInfo::Type::UNARY:
      return "unary";
    case ServerRpcInfo::Type::CLIENT_STREAMING:
      return "client_stream";
    case ServerRpcInfo::Type::SERVER_STREAMING:
      return "server_stream";
    case ServerRpcInfo::Type::BIDI_STREAMING:
      return "bidi_stream";
  }
  return "unary";
}

// What clients make up, maybe "", is one name: it must not become labels of metrics without end.
// gRPC takes calls of methods that it does not have for streams in both directions, of which there
// are two.
absl::string_view KnownPath(ServerRpcInfo* info) {
  constexpr absl::string_view kBothWays[] = {
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      "/stockpot.worker.v1.WorkerService/Work"};
  const absl::string_view path = info->method();
  const bool is_known =
      info->type() != ServerRpcInfo::Type::BIDI_STREAMING ||
      std::find(std::begin(kBothWays), std::end(kBothWays), path) != std::end(kBothWays);
  return is_known ? path : "/unknown/unknown";
}

CallName NameOf(ServerRpcInfo* info) {
  CallName name;
  name.type = TypeName(info->type());
  // "/stockpot.v1.SoupService/GetJob"
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(absl::StripPrefix(KnownPath(info), "/"), absl::MaxSplits('/', 1));
  name.service = std::string(parts.first);
  name.method = std::string(parts.second);
  return name;
}

// gRPC gives an interceptor the request as the method's own message type.
template <typename Request>
std::string NameIn(const void* request) {
  return static_cast<const Request*>(request)->name();
}

// The job that a request names; "" for methods that name none.
std::string JobOfRequest(const std::string& method, const void* request) {
  if (method == "GetJob") return NameIn<v1::GetJobRequest>(request);
  if (method == "CancelJob") return NameIn<v1::CancelJobRequest>(request);
  if (method == "DeleteJob") return NameIn<v1::DeleteJobRequest>(request);
  if (method == "RetryJob") return NameIn<v1::RetryJobRequest>(request);
  if (method == "WatchJob") return NameIn<v1::WatchJobRequest>(request);
  if (method == "DownloadArtifact") return NameIn<v1::DownloadArtifactRequest>(request);
  if (method == "VerifySoup") return NameIn<v1::VerifySoupRequest>(request);
  return "";
}

// One per call. gRPC destroys it when the call is over, and calls it for one batch at a time.
class CallInterceptor final : public grpc::experimental::Interceptor {
 public:
  CallInterceptor(CallName name, grpc::ServerContextBase* context, CallObserver* observer,
                  Authorization* authorization, bool has_reflection)
      : name_(std::move(name)),
        is_soup_service_(name_.service == v1::SoupService::service_full_name()),
        is_reflection_(absl::StartsWith(name_.service, "grpc.reflection.")),
        context_(context),
        observer_(observer),
        authorization_(authorization),
        has_reflection_(has_reflection),
        start_(absl::Now()) {
    if (observer_ != nullptr) observer_->CallStarted(name_);
  }

  ~CallInterceptor() override {
    // The call ended before the server had a status for it.
    if (!ended_.load()) End(grpc::Status::CANCELLED);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    const auto has = [&](InterceptionHookPoints point) {
      return methods->QueryInterceptionHookPoint(point);
    };
    if (has(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      const CallMetadata& metadata = *methods->GetRecvInitialMetadata();
      const auto peer = context_->auth_context();
      // Reflection has nobody else to ask; the service asks for itself.
      const absl::StatusOr<Identity> caller =
          is_reflection_ ? authorization_->Authorize(metadata, peer.get(), Permission::kRead)
                         : authorization_->Authenticate(metadata, peer.get());
      const absl::Status reflection = MayReflect(caller);
      if (is_reflection_ && !reflection.ok()) context_->TryCancel();
      absl::MutexLock lock(&mutex_);
      end_.request_id = RequestIdOf(metadata);
      end_.trace = TraceOf(metadata);
      if (is_reflection_ && !reflection.ok()) {
        refused_ = static_cast<grpc::StatusCode>(reflection.code());
      }
      if (caller.ok()) end_.client = caller->client.substr(0, kMaxLogged);
      end_.peer = context_->peer();  // the context may be gone when the call has ended
    }
    if (is_soup_service_ && has(InterceptionHookPoints::POST_RECV_MESSAGE) &&
        methods->GetRecvMessage() != nullptr) {
      SetJob(JobOfRequest(name_.method, methods->GetRecvMessage()));
    }
    if (has(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      absl::MutexLock lock(&mutex_);
      if (end_.request_id.empty()) end_.request_id = RandomId();
      methods->GetSendInitialMetadata()->emplace(kRequestIdMetadata, end_.request_id);
    }
    if (is_soup_service_ && name_.method == "CreateJob" &&
        has(InterceptionHookPoints::PRE_SEND_MESSAGE) && methods->GetSendMessage() != nullptr) {
      SetJob(static_cast<const v1::Job*>(methods->GetSendMessage())->name());
    }
    if (has(InterceptionHookPoints::PRE_SEND_STATUS)) End(methods->GetSendStatus());
    methods->Proceed();
  }

 private:
  static constexpr size_t kMaxLogged = 100;

  absl::Status MayReflect(const absl::StatusOr<Identity>& caller) const {
    if (!caller.ok()) return caller.status();
    if (caller->role == Role::kWorker) return NotForWorkers(caller->client);
    return has_reflection_ ? absl::OkStatus() : absl::UnimplementedError("no reflection here");
  }

  void SetJob(const std::string& job) {
    absl::MutexLock lock(&mutex_);
    end_.job = job.substr(0, kMaxLogged);
  }

  void End(const grpc::Status& status) {
    if (ended_.exchange(true) || observer_ == nullptr) return;
    absl::MutexLock lock(&mutex_);
    end_.code = CodeName(refused_.value_or(status.error_code()));
    end_.seconds = absl::ToDoubleSeconds(absl::Now() - start_);
    if (status.error_code() == grpc::StatusCode::INTERNAL ||
        status.error_code() == grpc::StatusCode::UNKNOWN) {
      end_.error = status.error_message().empty() ? "unknown" : status.error_message();
    }
    observer_->CallEnded(name_, end_);
  }

  const CallName name_;
  const bool is_soup_service_;
  const bool is_reflection_;
  grpc::ServerContextBase* const context_;
  CallObserver* const observer_;
  Authorization* const authorization_;
  const bool has_reflection_;
  const absl::Time start_;
  std::atomic<bool> ended_ = false;
  absl::Mutex mutex_;
  CallEnd end_ ABSL_GUARDED_BY(mutex_);
  // Why reflection was cancelled, which then ends its stream as if nothing had been.
  std::optional<grpc::StatusCode> refused_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::experimental::Interceptor* CallInterceptorFactory::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  return new CallInterceptor(NameOf(info), info->server_context(), observer_, authorization_,
                             has_reflection_);
}

}  // namespace stockpot
