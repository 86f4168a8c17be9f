#include "server/control/rpc/authorization.h"

#include <grpc/grpc_security_constants.h>

#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxToken = 4096;

absl::Status Missing() {
  return WithReason(
      absl::UnauthenticatedError("this server asks who calls: show a token (\"authorization: "
                                 "Bearer TOKEN\"; stockpot --token-file) or a client certificate"),
      "CREDENTIALS_MISSING");
}

// Of a certificate that TLS has verified; none where the client showed none.
std::vector<std::string> NamesOf(const grpc::AuthContext* peer) {
  std::vector<std::string> names;
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return names;
  for (const char* property : {GRPC_X509_SAN_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : peer->FindPropertyValues(property)) {
      names.emplace_back(value.data(), value.size());
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<Identity> Authorization::Authenticate(const CallMetadata& metadata,
                                                     const grpc::AuthContext* peer) const {
  if (access_ == nullptr) return Identity{ClientOf(metadata), Role::kAdmin};
  const std::shared_ptr<const AccessList> list = access_->list();
  const auto [begin, end] = metadata.equal_range("authorization");
  if (begin == end) {
    const std::vector<std::string> names = NamesOf(peer);
    return names.empty() ? Missing() : list->FindCertificate(names, clock_->Now());
  }
  absl::string_view shown(begin->second.data(), begin->second.size());
  if (std::next(begin) != end || !absl::ConsumePrefix(&shown, "Bearer ") ||
      shown.size() > kMaxToken) {
    return WithReason(absl::UnauthenticatedError("the metadata authorization must be one \"Bearer "
                                                 "TOKEN\""),
                      "CREDENTIALS_INVALID");
  }
  return list->FindToken(shown, clock_->Now());
}

absl::StatusOr<Identity> Authorization::Authorize(const CallMetadata& metadata,
                                                  const grpc::AuthContext* peer,
                                                  Permission permission) {
  ASSIGN_OR_RETURN(Identity identity, Authenticate(metadata, peer));
  RETURN_IF_ERROR(rate_.Take(identity.client));
  if (identity.role == Role::kWorker) return NotForWorkers(identity.client);
  if (permission == Permission::kRead || identity.role != Role::kViewer) return identity;
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "'", identity.client, "' is a viewer here, which makes and changes no jobs")),
      "ACCESS_DENIED");
}

absl::StatusOr<Identity> Authorization::AuthorizeWorker(const CallMetadata& metadata,
                                                        const grpc::AuthContext* peer) const {
  ASSIGN_OR_RETURN(Identity identity, Authenticate(metadata, peer));
  if (access_ == nullptr || identity.role == Role::kWorker) return identity;
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat("'", identity.client,
                                               "' is not a worker here: the access file gives it "
                                               "another role")),
      "ACCESS_DENIED");
}

absl::Status NotForWorkers(const std::string& client) {
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "'", client, "' is a worker here, which calls nothing but the workers' port")),
      "ACCESS_DENIED");
}

absl::Status NotYourJob(const std::string& name) {
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(name, " is not a job of yours, or is not there")),
      "ACCESS_DENIED");
}

}  // namespace stockpot
