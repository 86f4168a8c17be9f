// Who calls, and whether it may: asked by every method of the public API, and where workers dial,
// before anything else, so that nobody without the right learns what exists.
//
// Without an access file everybody who reaches the port may do everything, under the name that the
// metadata stockpot-client gives; with one the name is that of the token or certificate.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_AUTHORIZATION_H_
#define STOCKPOT_SERVER_CONTROL_RPC_AUTHORIZATION_H_

#include <grpcpp/security/auth_context.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/control/access/access_file.h"
#include "server/control/access/call_rate.h"
#include "server/control/rpc/call_metadata.h"

namespace stockpot {

enum class Permission { kRead, kSubmit };

class Authorization {
 public:
  // `access` may be null; both must outlive it. `calls_per_second`: of each client; 0: no limit.
  Authorization(AccessFile* access, Clock* clock, double calls_per_second)
      : access_(access), clock_(clock), rate_(calls_per_second, clock) {}

  // Counts as a call. Errors: UNAUTHENTICATED, reason CREDENTIALS_MISSING, CREDENTIALS_INVALID or
  // CREDENTIALS_EXPIRED; PERMISSION_DENIED, reason ACCESS_DENIED; RESOURCE_EXHAUSTED, reason
  // TOO_MANY_CALLS.
  absl::StatusOr<Identity> Authorize(const CallMetadata& metadata, const grpc::AuthContext* peer,
                                     Permission permission);

  // A worker on another machine. Errors: as above, but for TOO_MANY_CALLS.
  absl::StatusOr<Identity> AuthorizeWorker(const CallMetadata& metadata,
                                           const grpc::AuthContext* peer) const;

  // Without a permission: who it is. Errors: UNAUTHENTICATED, as above.
  absl::StatusOr<Identity> Authenticate(const CallMetadata& metadata,
                                        const grpc::AuthContext* peer) const;

 private:
  AccessFile* const access_;
  Clock* const clock_;
  CallRate rate_;
};

// What a worker is told that calls anything but its own service: PERMISSION_DENIED, reason
// ACCESS_DENIED.
absl::Status NotForWorkers(const std::string& client);

// PERMISSION_DENIED, reason ACCESS_DENIED: of a job that is not there and of another client's
// alike.
absl::Status NotYourJob(const std::string& name);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_AUTHORIZATION_H_
