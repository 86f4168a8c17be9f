#include "client/cli/verbose_calls.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/errors.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

using grpc::experimental::InterceptionHookPoints;

class CallTeller final : public grpc::experimental::Interceptor {
 public:
  CallTeller(std::string method, std::ostream* out)
      : method_(std::move(method)), out_(out), began_(absl::Now()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      const auto* metadata = methods->GetRecvInitialMetadata();
      const auto id = metadata->find("x-request-id");
      if (id != metadata->end()) request_id_.assign(id->second.data(), id->second.size());
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_STATUS)) {
      Tell(*methods->GetRecvStatus());
    }
    methods->Proceed();
  }

 private:
  void Tell(const grpc::Status& status) {
    const std::string code = absl::StatusCodeToString(FromGrpc(status).code());
    // In one piece: another thread may write as well.
    *out_ << absl::StrCat(method_, ": ", code, " after ",
                          absl::ToInt64Milliseconds(absl::Now() - began_), " ms, request ",
                          request_id_.empty() ? "unknown" : Printable(request_id_), "\n")
          << std::flush;
  }

  const std::string method_;
  std::ostream* const out_;
  const absl::Time began_;
  std::string request_id_;
};

class CallTellers final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit CallTellers(std::ostream* out) : out_(out) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override {
    const std::string path = info->method();  // "/stockpot.v1.SoupService/GetJob"
    return new CallTeller(path.substr(path.rfind('/') + 1), out_);
  }

 private:
  std::ostream* const out_;
};

}  // namespace

InterceptorFactories VerboseCalls(std::ostream* out) {
  InterceptorFactories factories;
  if (out != nullptr) factories.push_back(std::make_unique<CallTellers>(out));
  return factories;
}

}  // namespace stockpot::cli
