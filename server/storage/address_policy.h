// Which network addresses files are read from: the guard against URIs that make a worker ask
// machines that only it can reach (server-side request forgery). It judges the address that a
// connection is about to be made to, after the name was resolved, so that neither a redirect nor a
// name that resolves otherwise next time (DNS rebinding) gets around it.
//
//   public      always allowed
//   private     loopback, RFC 1918, RFC 6598 (100.64/10), fc00::/7: only for hosts that the
//   operator
//               names (--allowed_private_host)
//   never       link-local (and with it the clouds' 169.254.169.254), other addresses of metadata
//               services, multicast, broadcast, unspecified, documentation, reserved
//
// An IPv4 address within an IPv6 one (mapped, compatible, 6to4, NAT64) is judged as itself.
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_STORAGE_ADDRESS_POLICY_H_
#define STOCKPOT_SERVER_STORAGE_ADDRESS_POLICY_H_

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace stockpot {

enum class AddressKind { kPublic, kPrivate, kNever };

// Anything but IPv4 and IPv6 is kNever.
AddressKind KindOfAddress(const sockaddr& address);

// Of an address in its usual text, such as "10.0.0.1" or "::1"; nothing when it is none.
std::optional<AddressKind> KindOfAddressText(const std::string& address);

class AddressPolicy {
 public:
  // `private_hosts`: names or addresses, as they stand in URIs (lower-case, without brackets).
  explicit AddressPolicy(std::vector<std::string> private_hosts);

  bool IsPrivateHost(absl::string_view host) const;

  // Whether a connection for `host` may go to an address of this kind.
  // Errors: PERMISSION_DENIED, reason SOURCE_ADDRESS_NOT_ALLOWED. The message has no address.
  absl::Status Check(absl::string_view host, AddressKind kind) const;

 private:
  const std::vector<std::string> private_hosts_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_ADDRESS_POLICY_H_
