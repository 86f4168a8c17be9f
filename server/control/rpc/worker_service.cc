#include "server/control/rpc/worker_service.h"

#include <memory>
#include <utility>

#include "server/control/rpc/worker_stream.h"

namespace stockpot {
namespace {

// Messages of one worker are handled in order, each on one of these; storing a fact takes a while.
constexpr int kThreads = 4;

}  // namespace

WorkerService::WorkerService(Engine* engine, std::function<bool(const std::string&)> is_known,
                             Log* log, WorkObserver* observer)
    : engine_(engine),
      is_known_(std::move(is_known)),
      log_(log),
      observer_(observer),
      executor_(kThreads) {}

grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>* WorkerService::Work(
    grpc::CallbackServerContext*) {
  auto stream = std::make_shared<WorkerStream>(engine_, &is_known_, &executor_, log_, observer_);
  stream->Start();
  return stream.get();
}

}  // namespace stockpot
