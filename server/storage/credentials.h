// Bearer tokens by host, from the operator's files alone. A token is given to requests to its own
// host and port, so no redirect takes it elsewhere, and only over https or to a host whose private
// address the operator allows. It is never shown.
//
// A file of tokens has one line for each: HOST[:PORT], white space, the token. Lines that begin
// with '#' and empty ones say nothing. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_STORAGE_CREDENTIALS_H_
#define STOCKPOT_SERVER_STORAGE_CREDENTIALS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/storage/address_policy.h"
#include "server/storage/remote_uri.h"

namespace stockpot {

class Credentials {
 public:
  // None.
  Credentials() = default;

  // Errors: of reading; INVALID_ARGUMENT a line that is none of the above, by its number.
  static absl::StatusOr<Credentials> ReadFile(const std::string& path);

  // `authority` is RemoteUri::authority. INVALID_ARGUMENT when the token is no token (RFC 6750).
  absl::Status Add(const std::string& authority, absl::string_view token);

  // "" when there is none for it, or it may not be sent there.
  std::string TokenFor(const RemoteUri& uri, const AddressPolicy& policy) const;

 private:
  std::map<std::string, std::string> tokens_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_CREDENTIALS_H_
