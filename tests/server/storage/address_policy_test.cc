#include "server/storage/address_policy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

#include "server/base/status.h"

namespace stockpot {
namespace {

TEST(AddressPolicy, KnowsEveryAddressThatIsNotPublic) {
  using Kind = AddressKind;
  const std::pair<const char*, Kind> cases[] = {
      {"8.8.8.8", Kind::kPublic},
      {"1.1.1.1", Kind::kPublic},
      {"9.255.255.255", Kind::kPublic},
      {"11.0.0.0", Kind::kPublic},
      {"172.15.255.255", Kind::kPublic},
      {"172.32.0.0", Kind::kPublic},
      {"100.63.255.255", Kind::kPublic},
      {"100.128.0.0", Kind::kPublic},
      {"223.255.255.255", Kind::kPublic},
      {"10.0.0.1", Kind::kPrivate},
      {"127.0.0.1", Kind::kPrivate},
      {"127.255.255.254", Kind::kPrivate},
      {"172.16.0.1", Kind::kPrivate},
      {"172.31.255.255", Kind::kPrivate},
      {"192.168.1.1", Kind::kPrivate},
      {"100.64.0.1", Kind::kPrivate},
      {"198.18.0.1", Kind::kPrivate},
      {"0.0.0.0", Kind::kNever},
      {"0.1.2.3", Kind::kNever},
      {"169.254.169.254", Kind::kNever},
      {"169.254.0.1", Kind::kNever},
      {"100.100.100.200", Kind::kNever},
      {"168.63.129.16", Kind::kNever},
      {"192.0.0.192", Kind::kNever},
      {"192.0.2.1", Kind::kNever},
      {"198.51.100.1", Kind::kNever},
      {"203.0.113.1", Kind::kNever},
      {"224.0.0.1", Kind::kNever},
      {"239.255.255.255", Kind::kNever},
      {"240.0.0.1", Kind::kNever},
      {"255.255.255.255", Kind::kNever},
      {"2606:4700:4700::1111", Kind::kPublic},
      {"::ffff:8.8.8.8", Kind::kPublic},
      {"64:ff9b::8.8.8.8", Kind::kPublic},
      {"2002:0808:0808::1", Kind::kPublic},
      {"::1", Kind::kPrivate},
      {"fc00::1", Kind::kPrivate},
      {"fd12:3456::1", Kind::kPrivate},
      {"::ffff:127.0.0.1", Kind::kPrivate},
      {"::ffff:10.0.0.1", Kind::kPrivate},
      {"::127.0.0.1", Kind::kPrivate},
      {"64:ff9b::10.0.0.1", Kind::kPrivate},
      {"2002:7f00:0001::1", Kind::kPrivate},
      {"::", Kind::kNever},
      {"::ffff:169.254.169.254", Kind::kNever},
      {"::ffff:0.0.0.0", Kind::kNever},
      {"64:ff9b::a9fe:a9fe", Kind::kNever},
      {"64:ff9b:1::1", Kind::kNever},
      {"2002:a9fe:a9fe::1", Kind::kNever},
      {"fe80::1", Kind::kNever},
      {"febf::1", Kind::kNever},
      {"fec0::1", Kind::kNever},
      {"ff02::1", Kind::kNever},
      {"fd00:ec2::254", Kind::kNever},
      {"fd20:ce::254", Kind::kNever},
      {"2001::1", Kind::kNever},
      {"2001:db8::1", Kind::kNever},
      {"3fff::1", Kind::kNever},
      {"4000::1", Kind::kNever},
      {"100::1", Kind::kNever},
  };
  for (const auto& [text, kind] : cases) {
    EXPECT_EQ(KindOfAddressText(text), kind) << text;
  }
  EXPECT_EQ(KindOfAddressText("localhost"), std::nullopt);
  sockaddr_un local = {};
  local.sun_family = AF_UNIX;
  EXPECT_EQ(KindOfAddress(reinterpret_cast<const sockaddr&>(local)), Kind::kNever);
  sockaddr_in ipv4 = {};
  ipv4.sin_family = AF_INET;
  ipv4.sin_addr.s_addr = htonl(0x7f000001);
  EXPECT_EQ(KindOfAddress(reinterpret_cast<const sockaddr&>(ipv4)), Kind::kPrivate);
}

TEST(AddressPolicy, APrivateAddressIsForHostsThatTheOperatorNames) {
  const AddressPolicy policy({"models.intern"});
  EXPECT_TRUE(policy.Check("anybody.example", AddressKind::kPublic).ok());
  EXPECT_TRUE(policy.Check("models.intern", AddressKind::kPrivate).ok());
  EXPECT_FALSE(policy.Check("models.intern", AddressKind::kNever).ok());
  const absl::Status status = policy.Check("anybody.example", AddressKind::kPrivate);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_ADDRESS_NOT_ALLOWED");
}

}  // namespace
}  // namespace stockpot
