// Where a URI may lead, and what goes along: addresses, redirects, credentials, proxies.
#include <signal.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/server/storage/remote_files_test.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

class RemoteSafety : public RemoteFilesTest {
 protected:
  void AllowRedirectsToLocalhost() {
    access_.allowed_private_hosts = {"127.0.0.1", "localhost"};
    access_.allowed_redirect_hosts = {"localhost"};
  }

  // For server_, which is 127.0.0.1.
  void GiveToken() {
    access_.tokens_file = folder_ / "tokens";
    const std::string line = absl::StrCat("127.0.0.1:", server_.port(), " the-token\n");
    ASSERT_TRUE(WriteFileDurably(access_.tokens_file, line).ok());
  }
};

TEST_F(RemoteSafety, APrivateAddressIsNotConnectedTo) {
  server_.Put("/a", {.content = "secret"});
  access_.allowed_private_hosts = {};
  access_.allowed_uri_prefixes = {"http://127.0.0.1",  "http://localhost", "http://127.1",
                                  "http://2130706433", "http://0x7f.1",    "http://0"};
  for (const char* host : {"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0",
                           "[::ffff:127.0.0.1]", "[::1]"}) {
    const absl::Status status = Fetch(server_.Url("/a", host)).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_ADDRESS_NOT_ALLOWED") << host << status;
  }
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(RemoteSafety, AnAllowedHostIsAllowedByItsNameOnly) {
  server_.Put("/a", {.content = "content"});
  access_.allowed_private_hosts = {"LocalHost"};
  EXPECT_EQ(ContentOf(Fetch(server_.Url("/a", "localhost"))), "content");
  EXPECT_EQ(GetErrorFacts(Fetch(server_.Url("/a")).status()).reason, "SOURCE_ADDRESS_NOT_ALLOWED");
}

TEST_F(RemoteSafety, ARedirectToWhereNothingMayBeReadIsNotFollowed) {
  access_.allowed_uri_prefixes = {server_.Url("/open/")};
  access_.allowed_redirect_hosts = {"169.254.169.254", "10.0.0.1", "localhost", "[::1]"};
  server_.Put("/open/a", {});
  server_.Put("/closed/a", {.content = "secret"});
  const std::pair<std::string, const char*> cases[] = {
      {"http://169.254.169.254/latest/meta-data/", "SOURCE_ADDRESS_NOT_ALLOWED"},
      {"http://10.0.0.1/a", "SOURCE_ADDRESS_NOT_ALLOWED"},
      {server_.Url("/a", "localhost"), "SOURCE_ADDRESS_NOT_ALLOWED"},
      {server_.Url("/closed/a"), "PATH_NOT_ALLOWED"},
      {"/closed/a", "PATH_NOT_ALLOWED"},
      {"../closed/a", "SOURCE_UNSUPPORTED"},
      {"http://evil.example/a", "PATH_NOT_ALLOWED"},
      {"//evil.example/a", "PATH_NOT_ALLOWED"},
      {"file:///etc/passwd", "SOURCE_UNSUPPORTED"},
      {"ftp://localhost/a", "SOURCE_UNSUPPORTED"},
      {"http://user:pass@localhost/a", "SOURCE_UNSUPPORTED"},
      {"", "SOURCE_UNSUPPORTED"},
      {"/open/a", "SOURCE_UNSUPPORTED"},  // round and round
  };
  for (const auto& [location, reason] : cases) {
    server_.OnReply([&location = location](const auto&, HttpServer::Reply* reply) {
      reply->Become(302, {{"Location", location}});
    });
    const absl::Status status = Fetch(server_.Url("/open/a")).status();
    EXPECT_EQ(GetErrorFacts(status).reason, reason) << location << ": " << status;
    for (const auto& request : server_.requests()) EXPECT_EQ(request.target, "/open/a");
  }
}

TEST_F(RemoteSafety, ARedirectOfAPartIsCheckedAsWell) {
  server_.Put("/a", {.content = SomeBytes(3 * kPart)});
  server_.OnReply([](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.fields.at("range") == "bytes=0-0") return;
    reply->Become(307, {{"Location", "http://169.254.169.254/a"}});
  });
  EXPECT_EQ(ReasonOf("/a", absl::StatusCode::kPermissionDenied), "PATH_NOT_ALLOWED");
}

TEST_F(RemoteSafety, AnAllowedRedirectIsFollowedWithoutTheToken) {
  AllowRedirectsToLocalhost();
  GiveToken();
  HttpServer other;
  other.Put("/b", {.content = SomeBytes(3 * kPart)});
  server_.Put("/a", {});
  server_.OnReply([&](const auto&, HttpServer::Reply* reply) {
    reply->Become(302, {{"Location", other.Url("/b", "localhost") + "?signature=secret"}});
  });
  EXPECT_EQ(Content("/a"), SomeBytes(3 * kPart));
  ASSERT_FALSE(server_.requests().empty());
  for (const auto& request : server_.requests()) {
    EXPECT_EQ(request.fields.at("authorization"), "Bearer the-token");
  }
  ASSERT_GE(other.requests().size(), 4u);
  for (const auto& request : other.requests()) {
    EXPECT_EQ(request.fields.count("authorization"), 0u);
    EXPECT_EQ(request.target, "/b?signature=secret");
  }
}

TEST_F(RemoteSafety, ASignedAddressThatExpiredIsAskedForAgain) {
  AllowRedirectsToLocalhost();
  options_.download.connections = 1;
  HttpServer other;
  other.Put("/b", {.content = SomeBytes(6 * kPart)});
  server_.Put("/a", {});
  std::atomic<int> signature = 0, served = 0;
  server_.OnReply([&](const auto&, HttpServer::Reply* reply) {
    reply->Become(302,
                  {{"Location", absl::StrCat(other.Url("/b", "localhost"), "?", ++signature)}});
  });
  other.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.target != absl::StrCat("/b?", signature.load()) || ++served % 3 == 0) {
      ++signature;  // none of before is good any more
      reply->Become(403);
      signature = signature - 1;
    }
  });
  EXPECT_EQ(Content("/a").size(), SomeBytes(6 * kPart).size());
  EXPECT_GT(signature, 1);
}

TEST_F(RemoteSafety, NoErrorHoldsAQueryOrAToken) {
  AllowRedirectsToLocalhost();
  GiveToken();
  HttpServer other;
  server_.OnReply([&](const auto&, HttpServer::Reply* reply) {
    reply->Become(302, {{"Location", other.Url("/b", "localhost") + "?signature=secret"}});
  });
  options_.download.retry.most_failures = 1;
  for (const int status : {400, 401, 403, 404, 429, 500, 302, 204}) {
    other.OnReply([&](const auto&, HttpServer::Reply* reply) {
      reply->Become(status, {{"Location", "http://evil.example/?secret"}});
    });
    const std::string error = Fetch(server_.Url("/a")).status().ToString();
    EXPECT_THAT(error, Not(HasSubstr("secret"))) << status;
    EXPECT_THAT(error, Not(HasSubstr("the-token"))) << status;
    EXPECT_THAT(error, HasSubstr("localhost")) << "it says who";
  }
}

TEST_F(RemoteSafety, AProxyIsTheOperatorsNotTheEnvironments) {
  HttpServer proxy;
  proxy.Put("http://models.example/a", {.content = "by proxy"});
  const std::string url = proxy.Url("");
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) {
    setenv(name, url.c_str(), 1);
  }
  server_.Put("/a", {.content = "direct"});
  EXPECT_EQ(Content("/a"), "direct");
  EXPECT_TRUE(proxy.requests().empty());
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) unsetenv(name);

  access_.proxy = url;
  files_.reset();
  EXPECT_EQ(ContentOf(Fetch("http://models.example/a")), "by proxy");
  access_.allowed_private_hosts = {};
  files_.reset();
  for (const char* uri : {"http://10.0.0.1/a", "http://169.254.169.254/a"}) {
    EXPECT_EQ(GetErrorFacts(Fetch(uri).status()).reason, "SOURCE_ADDRESS_NOT_ALLOWED") << uri;
  }
}

TEST_F(RemoteSafety, OverTlsAServerIsWhoItSaysItIs) {
  signal(SIGPIPE, SIG_IGN);  // of the server, whose clients leave
  const TestCertificate certificate("DNS:localhost"), other("DNS:localhost");
  HttpServer secure(&certificate);
  secure.Put("/a", {.content = SomeBytes(3 * kPart)});
  access_.allowed_private_hosts = {"127.0.0.1", "localhost"};
  access_.ca_file = folder_ / "ca.pem";
  access_.tokens_file = folder_ / "tokens";
  ASSERT_TRUE(WriteFileDurably(access_.tokens_file,
                               absl::StrCat("localhost:", secure.port(), " the-token\n"))
                  .ok());
  const auto reason = [&](const std::string& trusted, const std::string& uri) {
    EXPECT_TRUE(WriteFileDurably(access_.ca_file, trusted).ok());
    files_.reset();
    return GetErrorFacts(Fetch(uri).status()).reason;
  };
  EXPECT_EQ(reason(other.pem(), secure.Url("/a", "localhost")), "SOURCE_UNTRUSTED");
  EXPECT_EQ(reason(certificate.pem(), secure.Url("/a", "127.0.0.1")), "SOURCE_UNTRUSTED")
      << "it is localhost's";
  EXPECT_TRUE(secure.requests().empty());
  EXPECT_EQ(reason(certificate.pem(), secure.Url("/a", "localhost")), "");
  EXPECT_EQ(ContentOf(Fetch(secure.Url("/a", "localhost"))), SomeBytes(3 * kPart));
  for (const auto& request : secure.requests()) {
    EXPECT_EQ(request.fields.at("authorization"), "Bearer the-token");
  }

  // Nobody may be sent on from it to where everybody may listen.
  server_.Put("/b", {.content = "plain"});
  secure.OnReply([&](const auto&, HttpServer::Reply* reply) {
    reply->Become(302, {{"Location", server_.Url("/b")}});
  });
  EXPECT_EQ(reason(certificate.pem(), secure.Url("/a", "localhost")), "PATH_NOT_ALLOWED");
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(RemoteSafety, FilesThatTheOperatorNamesMustBeThere) {
  for (std::string RemoteAccess::*file :
       {&RemoteAccess::tokens_file, &RemoteAccess::hf_token_file}) {
    RemoteAccess access;
    access.*file = folder_ / "none";
    EXPECT_FALSE(OpenRemoteFiles(access, options_, &clock_, nullptr).ok());
  }
  RemoteAccess access;
  access.hf_endpoint = "huggingface.co";
  EXPECT_THAT(OpenRemoteFiles(access, options_, &clock_, nullptr).status().ToString(),
              HasSubstr("--hf_endpoint"));
}

}  // namespace
}  // namespace stockpot
