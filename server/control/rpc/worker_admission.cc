#include "server/control/rpc/worker_admission.h"

#include <openssl/crypto.h>

#include "absl/strings/str_cat.h"
#include "server/base/random_id.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/worker_translation.h"

namespace stockpot {
namespace {

// Of what a worker says, in our answer.
constexpr size_t kMostQuoted = 200;

absl::Status Misfit(absl::string_view reason, const std::string& message) {
  return WithReason(absl::FailedPreconditionError(message), reason);
}

absl::Status CheckProtocol(const worker::v1::Hello& hello) {
  if (hello.protocol_version() == kWorkerProtocolVersion) return absl::OkStatus();
  return Misfit("OTHER_PROTOCOL_VERSION",
                absl::StrCat("the worker speaks protocol version ", hello.protocol_version(),
                             ", this server ", kWorkerProtocolVersion,
                             ": install both from the same release"));
}

bool IsSame(const std::string& shown, const std::string& secret) {
  return shown.size() == secret.size() &&
         CRYPTO_memcmp(shown.data(), secret.data(), secret.size()) == 0;
}

}  // namespace

absl::StatusOr<WorkerInfo> ChildAdmission::Admit(const worker::v1::Hello& hello) const {
  RETURN_IF_ERROR(CheckProtocol(hello));
  if (!is_known_(hello.worker_id())) {
    return absl::PermissionDeniedError("the server started no worker of this id");
  }
  return ToWorkerInfo(hello);
}

absl::StatusOr<std::string> RemoteAdmission::MayConnect(const CallMetadata& metadata,
                                                        const grpc::AuthContext* peer) const {
  ASSIGN_OR_RETURN(const Identity identity, authorization_->AuthorizeWorker(metadata, peer));
  return identity.client;
}

absl::StatusOr<WorkerInfo> RemoteAdmission::Admit(const worker::v1::Hello& hello) const {
  RETURN_IF_ERROR(CheckProtocol(hello));
  if (hello.release() != options_.release) {
    return Misfit("OTHER_RELEASE",
                  absl::StrCat("the worker is of release '",
                               BoundedUtf8(hello.release(), kMostQuoted), "', this server of '",
                               options_.release, "': install both from the same release"));
  }
  if (!hello.worker_id().empty()) {
    return absl::PermissionDeniedError("a worker on another machine is given its id");
  }
  // The folder first: a worker that has another one elsewhere may have the right one, too.
  if (!IsSame(hello.folder_id(), options_.folder_id)) {
    return Misfit("OTHER_DATA_FOLDER",
                  "the worker does not see this server's data folder: mount its artifacts/ and "
                  "cache/, the same files and not a copy, where the server has them");
  }
  if (hello.data_folder() != options_.data_folder) {
    return Misfit("OTHER_DATA_FOLDER",
                  absl::StrCat("the worker has this server's data folder at '",
                               BoundedUtf8(hello.data_folder(), kMostQuoted), "', the server at '",
                               options_.data_folder, "': mount it at the same path"));
  }
  WorkerInfo info = ToWorkerInfo(hello);
  info.id = absl::StrCat("remote-", RandomId(), RandomId());
  info.is_remote = true;
  return info;
}

}  // namespace stockpot
