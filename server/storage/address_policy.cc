#include "server/storage/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr uint32_t Ipv4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

struct Ipv4Block {
  uint32_t address;
  int bits;
  AddressKind kind;
};

// The first block that holds an address decides. Source: IANA's IPv4 special-purpose registry, and
// the clouds' documentation of their metadata services.
constexpr Ipv4Block kIpv4Blocks[] = {
    {Ipv4(100, 100, 100, 200), 32, AddressKind::kNever},  // metadata (Alibaba)
    {Ipv4(168, 63, 129, 16), 32, AddressKind::kNever},    // the host's own services (Azure)
    {Ipv4(0, 0, 0, 0), 8, AddressKind::kNever},
    {Ipv4(10, 0, 0, 0), 8, AddressKind::kPrivate},
    {Ipv4(100, 64, 0, 0), 10, AddressKind::kPrivate},
    {Ipv4(127, 0, 0, 0), 8, AddressKind::kPrivate},
    {Ipv4(169, 254, 0, 0), 16, AddressKind::kNever},
    {Ipv4(172, 16, 0, 0), 12, AddressKind::kPrivate},
    {Ipv4(192, 0, 0, 0), 24, AddressKind::kNever},  // among it metadata (Oracle)
    {Ipv4(192, 0, 2, 0), 24, AddressKind::kNever},
    {Ipv4(192, 88, 99, 0), 24, AddressKind::kNever},
    {Ipv4(192, 168, 0, 0), 16, AddressKind::kPrivate},
    {Ipv4(198, 18, 0, 0), 15, AddressKind::kPrivate},
    {Ipv4(198, 51, 100, 0), 24, AddressKind::kNever},
    {Ipv4(203, 0, 113, 0), 24, AddressKind::kNever},
    {Ipv4(224, 0, 0, 0), 3, AddressKind::kNever},  // multicast, reserved, broadcast
};

AddressKind KindOfIpv4(uint32_t address) {
  for (const Ipv4Block& block : kIpv4Blocks) {
    if ((address ^ block.address) >> (32 - block.bits) == 0) return block.kind;
  }
  return AddressKind::kPublic;
}

using Ipv6 = std::array<uint8_t, 16>;

bool StartsWithBytes(const Ipv6& address, std::initializer_list<uint8_t> bytes) {
  return std::equal(bytes.begin(), bytes.end(), address.begin());
}

AddressKind KindOfIpv4Within(const Ipv6& address, size_t at) {
  return KindOfIpv4(Ipv4(address[at], address[at + 1], address[at + 2], address[at + 3]));
}

AddressKind KindOfIpv6(const Ipv6& address) {
  constexpr Ipv6 kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (address == kLoopback) return AddressKind::kPrivate;
  const bool begins_with_zeros = StartsWithBytes(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  if (begins_with_zeros && address[10] == address[11] &&
      (address[10] == 0 || address[10] == 0xff)) {
    return KindOfIpv4Within(address, 12);  // mapped, compatible, "::"
  }
  if (StartsWithBytes(address, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return KindOfIpv4Within(address, 12);  // NAT64
  }
  if (StartsWithBytes(address, {0x20, 0x02})) return KindOfIpv4Within(address, 2);  // 6to4
  if (StartsWithBytes(address, {0xfd, 0x00, 0x0e, 0xc2}) ||          // metadata (AWS)
      StartsWithBytes(address, {0xfd, 0x20, 0x00, 0xce}) ||          // metadata (Google)
      StartsWithBytes(address, {0x20, 0x01, 0x0d, 0xb8}) ||          // documentation
      StartsWithBytes(address, {0x3f, 0xff}) ||                      // documentation
      (StartsWithBytes(address, {0x20, 0x01}) && address[2] < 2)) {  // Teredo and the like
    return AddressKind::kNever;
  }
  if ((address[0] & 0xfe) == 0xfc) return AddressKind::kPrivate;
  return address[0] >> 5 == 1 ? AddressKind::kPublic : AddressKind::kNever;  // 2000::/3
}

}  // namespace

AddressKind KindOfAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address, sizeof(ipv4));
    return KindOfIpv4(ntohl(ipv4.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return AddressKind::kNever;
  sockaddr_in6 ipv6;
  std::memcpy(&ipv6, &address, sizeof(ipv6));
  Ipv6 bytes;
  std::memcpy(bytes.data(), &ipv6.sin6_addr, bytes.size());
  return KindOfIpv6(bytes);
}

std::optional<AddressKind> KindOfAddressText(const std::string& address) {
  in_addr ipv4 = {};
  if (inet_pton(AF_INET, address.c_str(), &ipv4) == 1) return KindOfIpv4(ntohl(ipv4.s_addr));
  Ipv6 ipv6;
  if (inet_pton(AF_INET6, address.c_str(), ipv6.data()) == 1) return KindOfIpv6(ipv6);
  return std::nullopt;
}

AddressPolicy::AddressPolicy(std::vector<std::string> private_hosts)
    : private_hosts_(std::move(private_hosts)) {}

bool AddressPolicy::IsPrivateHost(absl::string_view host) const {
  return std::find(private_hosts_.begin(), private_hosts_.end(), host) != private_hosts_.end();
}

absl::Status AddressPolicy::Check(absl::string_view host, AddressKind kind) const {
  if (kind == AddressKind::kPublic) return absl::OkStatus();
  if (kind == AddressKind::kPrivate && IsPrivateHost(host)) return absl::OkStatus();
  const absl::string_view what = kind == AddressKind::kPrivate
                                     ? " has a private address; the operator allows it with "
                                       "--allowed_private_host"
                                     : " has an address that nothing is read from";
  return WithReason(absl::PermissionDeniedError(absl::StrCat("'", host, "'", what)),
                    "SOURCE_ADDRESS_NOT_ALLOWED");
}

}  // namespace stockpot
