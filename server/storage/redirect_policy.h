// Where a request for a file may be sent on to: below a prefix that the operator allows for such
// files, or to a host that the operator names for redirects (--allowed_redirect_host: a name, or
// "*.example.com" for all names below it). Never from https to http. So an open redirect on an
// allowed host leads nowhere that the operator did not allow. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_STORAGE_REDIRECT_POLICY_H_
#define STOCKPOT_SERVER_STORAGE_REDIRECT_POLICY_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/remote_store.h"
#include "server/storage/remote_uri.h"

namespace stockpot {

class RedirectPolicy {
 public:
  // Of the prefixes those that are no URIs (local paths) are passed over. Errors: INVALID_ARGUMENT.
  static absl::StatusOr<RedirectPolicy> Create(
      const std::vector<std::string>& data_prefixes,
      const std::vector<std::string>& architecture_prefixes,
      const std::vector<std::string>& redirect_hosts);

  // Errors: PERMISSION_DENIED, reason PATH_NOT_ALLOWED or ARCHITECTURE_NOT_ALLOWED. Messages name
  // hosts only.
  absl::Status Check(const RemoteUri& from, const RemoteUri& to, Purpose purpose) const;

 private:
  std::vector<UriPrefix> data_, architectures_;
  std::vector<std::string> hosts_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REDIRECT_POLICY_H_
