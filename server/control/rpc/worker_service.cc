#include "server/control/rpc/worker_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/worker_stream.h"

namespace stockpot {
namespace {

// Messages of one worker are handled in order, each on one of these; storing a fact takes a while.
constexpr int kThreads = 4;

// A stream that ends before anything was read from it.
class RefusedStream final
    : public grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage> {
 public:
  explicit RefusedStream(const absl::Status& why) { Finish(ToGrpcStatus(why)); }
  void OnDone() override { delete this; }
};

}  // namespace

WorkerService::WorkerService(Options options, const WorkerAdmission* admission, Engine* engine,
                             Log* log, WorkObserver* observer)
    : options_(options),
      admission_(admission),
      engine_(engine),
      log_(log),
      observer_(observer),
      executor_(kThreads) {}

grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>* WorkerService::Work(
    grpc::CallbackServerContext* context) {
  const absl::StatusOr<std::string> client =
      admission_->MayConnect(context->client_metadata(), context->auth_context().get());
  absl::Status allowed = client.status();
  if (allowed.ok() && streams_.load() >= options_.max_streams) {
    allowed = WithReason(absl::ResourceExhaustedError(absl::StrCat(
                             "more than ", options_.max_streams, " workers are connected")),
                         "TOO_MANY_WORKERS");
  }
  if (!allowed.ok()) {
    log_->Warning("worker_refused",
                  {{"peer", context->peer()}, {"error", std::string(allowed.message())}});
    return new RefusedStream(allowed);
  }
  WorkerStream::Options options;
  options.admission = admission_;
  options.engine = engine_;
  options.executor = &executor_;
  options.log = log_;
  options.observer = observer_;
  options.heartbeat = options_.heartbeat;
  options.client = *client;
  options.peer = context->peer();
  options.open_streams = &streams_;
  auto stream = std::make_shared<WorkerStream>(std::move(options));
  stream->Start();
  return stream.get();
}

}  // namespace stockpot
