#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/control/access/access_file.h"
#include "server/control/access/access_list.h"
#include "server/control/access/call_rate.h"
#include "server/control/access/certificate_files.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Shown(const std::string& token) { return "sha256:" + Sha256Hex(token); }

absl::Time At(const std::string& time) {
  absl::Time parsed;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, time, &parsed, &error)) << error;
  return parsed;
}

std::string ReasonOf(const absl::StatusOr<Identity>& identity) {
  EXPECT_TRUE(absl::IsUnauthenticated(identity.status())) << identity.status();
  return GetErrorFacts(identity.status()).reason;
}

TEST(AccessList, FindsWhoShowsWhat) {
  const auto list = AccessList::Parse(absl::StrCat(
      "# who may do what\n\nteam-a submitter ", Shown("one"), "\n  team-a\tviewer ", Shown("two"),
      "  2030-01-01T00:00:00Z\r\n* admin ", Shown("three"),
      "\nci submitter certificate:ci.example\npool worker certificate:pool.example\n"));
  ASSERT_TRUE(list.ok()) << list.status();
  const absl::Time now = At("2029-12-31T23:59:59Z");
  EXPECT_EQ(list->FindToken("one", now)->client, "team-a");
  EXPECT_EQ(list->FindToken("one", now)->role, Role::kSubmitter);
  EXPECT_FALSE(list->FindToken("one", now)->sees_all_clients());
  EXPECT_EQ(list->FindToken("two", now)->role, Role::kViewer);
  EXPECT_TRUE(list->FindToken("three", now)->sees_all_clients());
  EXPECT_EQ(list->FindCertificate({"other", "ci.example"}, now)->client, "ci");
  EXPECT_EQ(list->FindCertificate({"pool.example"}, now)->role, Role::kWorker);
  EXPECT_EQ(ReasonOf(list->FindToken("two", now + absl::Seconds(1))), "CREDENTIALS_EXPIRED");
  for (const std::string& token :
       std::vector<std::string>{"", "four", "One", "one ", Shown("one"), "ci.example"}) {
    EXPECT_EQ(ReasonOf(list->FindToken(token, now)), "CREDENTIALS_INVALID") << token;
  }
  EXPECT_EQ(ReasonOf(list->FindCertificate({"", "one"}, now)), "CREDENTIALS_INVALID");
  EXPECT_EQ(ReasonOf(list->FindCertificate({}, now)), "CREDENTIALS_INVALID");
}

TEST(AccessList, SaysWhichLineIsWrongAndNothingOfIt) {
  const std::string good = absl::StrCat("a viewer ", Shown("x"), "\n");
  for (const std::string bad :
       {"secret", "secret viewer", "secret reader sha256:00", "secret viewer sha256:00",
        "secret viewer token:00", "secret viewer certificate:", "s/ecret viewer certificate:x",
        "* submitter certificate:secret", "* worker certificate:secret",
        "secret viewer certificate:x tomorrow",
        "secret viewer certificate:x 2030-01-01T00:00:00Z more"}) {
    const absl::Status status = AccessList::Parse(good + bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), StartsWith("line 2: ")) << bad;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret"))) << bad;
  }
  EXPECT_THAT(std::string(AccessList::Parse(good + "#\n" + good).status().message()),
              StartsWith("line 3: "));
}

TEST(AccessFile, IsReadAgainAndAMistakeTakesNobodysAccess) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& text) { std::ofstream(folder / "access") << text; };
  FakeClock clock;
  const std::unique_ptr<Log> log = Log::ToStandardError("test", false);
  EXPECT_FALSE(AccessFile::Open(folder / "access", &clock, log.get()).ok());
  write(absl::StrCat("a viewer ", Shown("one"), "\n"));
  auto file = AccessFile::Open(folder / "access", &clock, log.get());
  ASSERT_TRUE(file.ok()) << file.status();
  const auto knows = [&](const std::string& token) {
    return (*file)->list()->FindToken(token, clock.Now()).ok();
  };
  EXPECT_TRUE(knows("one"));
  write(absl::StrCat("a viewer ", Shown("two"), "\n"));
  EXPECT_TRUE(knows("one")) << "looked at once a second";
  clock.Advance(absl::Seconds(2));
  EXPECT_FALSE(knows("one"));
  EXPECT_TRUE(knows("two"));
  write("nonsense\n");
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(knows("two"));
  std::filesystem::remove(folder / "access");
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(knows("two"));
}

TEST(CallRate, HoldsTenSecondsWorthAndFillsAtTheRate) {
  FakeClock clock;
  CallRate rate(2, &clock);
  const auto calls = [&](const std::string& client) {
    int count = 0;
    while (rate.Take(client).ok()) ++count;
    return count;
  };
  EXPECT_EQ(calls("a"), 20);
  EXPECT_EQ(calls("b"), 20) << "each has its own";
  const ErrorFacts facts = GetErrorFacts(rate.Take("a"));
  EXPECT_EQ(facts.reason, "TOO_MANY_CALLS");
  EXPECT_EQ(facts.retry_after, absl::Milliseconds(500));
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(calls("a"), 6);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(calls("a"), 20);
  CallRate none(0, &clock);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(none.Take("a").ok());
  CallRate slow(0.01, &clock);
  EXPECT_TRUE(slow.Take("a").ok()) << "one call is always held";
  for (int i = 0; i < 30'000; ++i) ASSERT_TRUE(slow.Take(absl::StrCat("made up ", i)).ok());
}

TEST(CertificateFiles, AreLookedAtBeforeAnybodyConnects) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return folder / name;
  };
  const TestAuthority authority("authority");
  const PemPair good = authority.Sign("server"), other = authority.Sign("other");
  const std::string certificate = write("certificate", good.certificate);
  const std::string key = write("key", good.key);
  const std::string ca = write("ca", authority.certificate());
  EXPECT_TRUE(CheckCertificateFiles({}).ok());
  EXPECT_TRUE(CheckCertificateFiles({certificate, key, ""}).ok());
  EXPECT_TRUE(CheckCertificateFiles({certificate, key, ca}).ok());
  const std::string other_key = write("other_key", other.key);
  const std::string expired = write("expired", authority.Sign("server", -1).certificate);
  const struct {
    CertificateFiles files;
    const char* flag;
  } cases[] = {
      {{certificate, "", ""}, "--tls_key_file"},
      {{"", key, ""}, "--tls_certificate_file"},
      {{"", "", ca}, "--tls_client_ca_file"},
      {{folder / "absent", key, ""}, "--tls_certificate_file"},
      {{key, key, ""}, "--tls_certificate_file"},
      {{expired, key, ""}, "--tls_certificate_file"},
      {{certificate, certificate, ""}, "--tls_key_file"},
      {{certificate, other_key, ""}, "--tls_key_file"},
      {{certificate, key, key}, "--tls_client_ca_file"},
  };
  for (const auto& [files, flag] : cases) {
    EXPECT_THAT(std::string(CheckCertificateFiles(files).message()), HasSubstr(flag));
  }
}

}  // namespace
}  // namespace stockpot
