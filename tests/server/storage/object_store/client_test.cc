// How Google's and Azure's clients are set up: who is trusted, by which way, with which secrets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/storage/object_store/object_stores.h"
#include "tests/support/http_server/http_server.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string NewPrivateKey() {
  EVP_PKEY* const key = EVP_RSA_gen(2048);
  BIO* const text = BIO_new(BIO_s_mem());
  EXPECT_EQ(PEM_write_bio_PrivateKey(text, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text, &bytes);
  std::string pem(bytes, static_cast<size_t>(size));
  BIO_free(text);
  EVP_PKEY_free(key);
  return pem;
}

class ObjectClient : public testing::TestWithParam<const char*> {
 protected:
  bool is_gcs() const { return std::string(GetParam()) == "gs"; }

  ObjectClient() {
    access_.allowed_uri_prefixes = {absl::StrCat(GetParam(), "://bucket/")};
    access_.azure_account = "account";
    access_.azure_anonymous = access_.gcs_anonymous = true;
  }
  // What a look at an object gives.
  absl::Status Look(const std::string& endpoint) {
    access_.gcs_endpoint = access_.azure_endpoint = endpoint;
    auto stores = objects_.Open(access_);
    if (!stores.ok()) return stores.status();
    const auto uri = ParseRemoteUri(absl::StrCat(GetParam(), "://bucket/key"));
    return stores->at(GetParam())
        ->Look(*uri, Purpose::kData, [] { return absl::OkStatus(); })
        .status();
  }
  std::string File(const std::string& name, const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(folder_ / name, content).ok());
    return folder_ / name;
  }

  TemporaryFolder folder_;
  RemoteAccess access_;
  ObjectStores objects_;
};

TEST_P(ObjectClient, ChecksTheServersCertificate) {
  const TestCertificate certificate("IP:127.0.0.1");
  const HttpServer server(&certificate);
  EXPECT_EQ(GetErrorFacts(Look(server.Url(""))).reason, "SOURCE_UNTRUSTED") << Look(server.Url(""));
  access_.ca_file = File("ca.pem", certificate.pem());
  EXPECT_TRUE(absl::IsNotFound(Look(server.Url("")))) << Look(server.Url(""));
  unsetenv("SSL_CERT_FILE");
}

TEST_P(ObjectClient, UsesTheOperatorsProxyAndNotTheEnvironments) {
  const HttpServer server;
  for (const char* name : {"http_proxy", "all_proxy"}) setenv(name, "http://127.0.0.1:1", 1);
  EXPECT_TRUE(absl::IsNotFound(Look(server.Url("")))) << Look(server.Url(""));
  const size_t before = server.requests().size();
  access_.proxy = server.Url("");
  EXPECT_FALSE(Look("https://storage.example:9000").ok());
  ASSERT_GT(server.requests().size(), before);
  EXPECT_EQ(server.requests()[before].method, "CONNECT");
  EXPECT_EQ(server.requests()[before].target, "storage.example:9000");
  unsetenv("https_proxy");
  unsetenv("http_proxy");
}

TEST_P(ObjectClient, AnonymousRequestsCarryNothing) {
  const HttpServer server;
  EXPECT_TRUE(absl::IsNotFound(Look(server.Url(""))));
  ASSERT_FALSE(server.requests().empty());
  for (const auto& request : server.requests()) {
    EXPECT_EQ(request.fields.count("authorization"), 0u) << request.target;
  }
}

TEST_P(ObjectClient, SecretsOfFilesSignAndAreNotShown) {
  HttpServer server;
  server.OnReply([](const auto&, auto* reply) { reply->Become(403); });
  access_.azure_anonymous = access_.gcs_anonymous = false;
  if (is_gcs()) {
    access_.gcs_credentials_file =
        File("credentials.json", DumpJson({{"type", "service_account"},
                                           {"client_email", "soups@example.com"},
                                           {"private_key_id", "1"},
                                           {"private_key", NewPrivateKey()},
                                           {"token_uri", server.Url("/token")}}));
  } else {
    access_.azure_account_key_file = File("key", absl::Base64Escape("the-secret") + "\n");
  }
  const absl::Status status = Look(server.Url(""));
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_FORBIDDEN") << status;
  EXPECT_THAT(status.ToString(), Not(HasSubstr("example.com")));
  ASSERT_FALSE(server.requests().empty());
  const auto fields = server.requests()[0].fields;
  ASSERT_EQ(fields.count("authorization"), 1u) << server.requests()[0].target;
  EXPECT_THAT(fields.at("authorization"), HasSubstr(is_gcs() ? "Bearer " : "SharedKey account:"));
  unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
}

INSTANTIATE_TEST_SUITE_P(Clients, ObjectClient, testing::Values("gs", "abfs"));

TEST(AzureClient, ACredentialThatIsNotToBeHadIsSaid) {
  RemoteAccess access;
  access.allowed_uri_prefixes = {"az://container/"};
  access.azure_account = "account";
  access.azure_endpoint = "https://127.0.0.1:1";
  // One way of the default chain, which nothing answers.
  setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential", 1);
  ObjectStores objects;
  auto stores = objects.Open(access);
  ASSERT_TRUE(stores.ok()) << stores.status();
  const absl::Status status = stores->at("abfs")
                                  ->Look(*ParseRemoteUri("az://container/key"), Purpose::kData,
                                         [] { return absl::OkStatus(); })
                                  .status();
  unsetenv("AZURE_TOKEN_CREDENTIALS");
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_FORBIDDEN") << status;
}

TEST(AzureClient, ASignatureIsInRequestsAndInNoError) {
  TemporaryFolder folder;
  HttpServer server;
  server.OnReply([](const auto&, auto* reply) { reply->Become(403); });
  RemoteAccess access;
  access.allowed_uri_prefixes = {"az://container/"};
  access.azure_account = "account";
  access.azure_endpoint = server.Url("");
  access.azure_sas_token_file = folder / "sas";
  ASSERT_TRUE(WriteFileDurably(access.azure_sas_token_file, "?sv=2024-11-04&sig=the-secret").ok());
  ObjectStores objects;
  auto stores = objects.Open(access);
  ASSERT_TRUE(stores.ok()) << stores.status();
  const auto uri = ParseRemoteUri("az://container/key");
  const absl::Status status =
      stores->at("abfs")->Look(*uri, Purpose::kData, [] { return absl::OkStatus(); }).status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_FORBIDDEN") << status;
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret")));
  ASSERT_FALSE(server.requests().empty());
  EXPECT_THAT(server.requests()[0].target, HasSubstr("/account/container/key?"));
  EXPECT_THAT(server.requests()[0].target, HasSubstr("sig=the-secret"));
}

}  // namespace
}  // namespace stockpot
