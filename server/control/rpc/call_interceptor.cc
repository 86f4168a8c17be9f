#include "server/control/rpc/call_interceptor.h"

#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

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

CallName NameOf(ServerRpcInfo* info) {
  CallName name;
  name.type = TypeName(info->type());
  // "/stockpot.v1.SoupService/GetJob"
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(absl::string_view(info->method()).substr(1), absl::MaxSplits('/', 1));
  name.service = std::string(parts.first);
  name.method = std::string(parts.second);
  return name;
}

// One per call. gRPC destroys it when the call is over.
class CallInterceptor final : public grpc::experimental::Interceptor {
 public:
  CallInterceptor(CallName name, CallObserver* observer)
      : name_(std::move(name)), observer_(observer), start_(absl::Now()) {
    observer_->CallStarted(name_);
  }

  ~CallInterceptor() override {
    // The call ended before the server had a status for it.
    if (!ended_.load()) End(grpc::StatusCode::CANCELLED);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(methods->GetSendStatus().error_code());
    }
    methods->Proceed();
  }

 private:
  void End(grpc::StatusCode code) {
    if (ended_.exchange(true)) return;
    observer_->CallEnded(name_, CodeName(code), absl::ToDoubleSeconds(absl::Now() - start_));
  }

  const CallName name_;
  CallObserver* const observer_;
  const absl::Time start_;
  std::atomic<bool> ended_ = false;
};

}  // namespace

grpc::experimental::Interceptor* CallInterceptorFactory::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  return new CallInterceptor(NameOf(info), observer_);
}

}  // namespace stockpot
