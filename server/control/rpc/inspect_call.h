// InspectSource: one task outside any job, whose result is the response. It may wait long for a
// worker; when the client goes away the call ends at once and the late result is dropped.
// Lifetime: owns itself until OnDone(); the engine's callback holds it too.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_INSPECT_CALL_H_
#define STOCKPOT_SERVER_CONTROL_RPC_INSPECT_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

class InspectCall final : public grpc::ServerUnaryReactor,
                          public std::enable_shared_from_this<InspectCall> {
 public:
  // `response` is gRPC's: valid until the call has ended.
  explicit InspectCall(v1::InspectSourceResponse* response) : response_(response) {}

  void Start(const v1::InspectSourceRequest& request, Engine* engine, const AllowList& allowed,
             Executor* executor);

 private:
  void OnCancel() override;
  void OnDone() override { const std::shared_ptr<InspectCall> keep = std::move(self_); }
  // Once; later calls do nothing. `fact`: the response on OK.
  void End(const absl::Status& status, const Fact* fact);

  std::shared_ptr<InspectCall> self_;  // set by Start(), cleared by OnDone()
  absl::Mutex mutex_;
  v1::InspectSourceResponse* const response_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_INSPECT_CALL_H_
