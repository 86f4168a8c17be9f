// Reading objects over S3: whole, of one version, whatever goes wrong on the way.
#include "tests/server/storage/object_store/s3_store_test.h"

#include <signal.h>

#include <atomic>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

// The AWS library must be shut down before the process ends. Like programs, tests ignore SIGPIPE.
class ShutsDown : public testing::Environment {
 public:
  void SetUp() override { signal(SIGPIPE, SIG_IGN); }
  void TearDown() override { EXPECT_TRUE(ObjectStores().ShutDown()); }
};
testing::Environment* const shuts_down = testing::AddGlobalTestEnvironment(new ShutsDown);

bool IsRead(const HttpServer::Request& request) {
  return request.method == "GET" && request.fields.count("range") > 0;
}

TEST_F(S3StoreTest, AnObjectIsReadInPartsOnceForAll) {
  for (const size_t size : {size_t{0}, size_t{1}, kPart, 5 * kPart + 77}) {
    const std::string key = absl::StrCat("sweep/", size, ".safetensors");
    server_.Put("bucket", key, SomeBytes(size));
    for (int time = 0; time < 2; ++time) {
      EXPECT_TRUE(Content("s3://bucket/" + key) == SomeBytes(size)) << size;
    }
  }
  size_t bytes = 0;
  for (const auto& request : server_.http().requests()) bytes += IsRead(request) ? kPart / 2 : 0;
  EXPECT_LE(bytes, 1 + kPart + 5 * kPart + 77 + 3 * kPart / 2) << "nothing was read twice";
  EXPECT_EQ(Fetch("s3://bucket/sweep/1.safetensors")->pinned_uri,
            "s3://bucket/sweep/1.safetensors");
}

TEST_F(S3StoreTest, KeysMayHoldAnyCharacterThatAUriEncodes) {
  const std::string keys[] = {"a b+c%d/e.bin", "x=1&y=2", "\xc3\xa9t\xc3\xa9", "q?r#s", "[1]"};
  const std::string uris[] = {"a%20b+c%25d/e.bin", "x=1&y=2", "%C3%A9t%c3%a9", "q%3fr%23s",
                              "%5b1%5d"};
  for (size_t i = 0; i < std::size(keys); ++i) {
    server_.Put("bucket", keys[i], absl::StrCat("content ", i));
    EXPECT_EQ(Content("s3://bucket/" + uris[i]), absl::StrCat("content ", i)) << keys[i];
  }
}

TEST_F(S3StoreTest, FaultsOnTheWayEndRightOrWithAClearError) {
  objects_options_.read_timeout = absl::Milliseconds(700);
  objects_options_.look_timeout = absl::Milliseconds(700);
  objects_options_.least_bytes_per_second = 1 << 20;
  using Fault = std::function<void(int number, const HttpServer::Request&, HttpServer::Reply*)>;
  struct Case {
    const char* what;
    const char* reason;  // "": the content arrives
    Fault fault;
  };
  const auto error_xml = [](const char* code) {
    return absl::StrCat("<?xml version=\"1.0\"?><Error><Code>", code,
                        "</Code><Message>the-secret</Message></Error>");
  };
  const Case cases[] = {
      {"busy now and then", "",
       [&](int number, const auto&, auto* reply) {
         if (number % 3 == 1) reply->Become(503, error_xml("SlowDown"));
       }},
      {"fails now and then", "",
       [&](int number, const auto&, auto* reply) {
         if (number % 4 == 2) reply->Become(500, error_xml("InternalError"));
       }},
      {"asks to come later", "",
       [&](int number, const auto&, auto* reply) {
         if (number % 3 == 2) reply->Become(429);
       }},
      {"breaks off", "",
       [](int number, const auto& request, auto* reply) {
         if (IsRead(request) && number % 3 == 1) reply->break_after = reply->size / 2;
       }},
      {"stalls", "",
       [](int number, const auto& request, auto* reply) {
         if (IsRead(request) && number % 5 == 1) reply->stall_after = 100;
       }},
      {"bytes drip", "",
       [](int number, const auto& request, auto* reply) {
         if (IsRead(request) && number == 4) reply->pause_ms = 500;
       }},
      {"always busy", "SOURCE_UNAVAILABLE",
       [&](int, const auto&, auto* reply) { reply->Become(503, error_xml("SlowDown")); }},
      {"always breaks off", "SOURCE_UNAVAILABLE",
       [](int, const auto& request, auto* reply) {
         if (IsRead(request)) reply->break_after = 10;
       }},
      {"forbidden", "SOURCE_FORBIDDEN",
       [&](int, const auto&, auto* reply) { reply->Become(403, error_xml("AccessDenied")); }},
      {"parts forbidden", "SOURCE_FORBIDDEN",
       [&](int, const auto& request, auto* reply) {
         if (IsRead(request)) reply->Become(403, error_xml("SignatureDoesNotMatch"));
       }},
      {"of another region", "SOURCE_UNSUPPORTED",
       [&](int, const auto&, auto* reply) { reply->Become(301, error_xml("PermanentRedirect")); }},
      {"always another version", "CHECKPOINT_CHANGED",
       [](int number, const auto&, auto* reply) {
         reply->fields["ETag"] = absl::StrCat("\"", number, "\"");
       }},
      {"always of another size", "CHECKPOINT_CHANGED",
       [](int number, const auto& request, auto* reply) {
         if (request.method == "HEAD") reply->size -= static_cast<size_t>(number % 5);
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::string key = absl::StrCat("of ", c.what);
    server_.Put("bucket", key, SomeBytes(4 * kPart, 7));
    std::atomic<int> requests = 0;
    server_.OnFault([&](const auto& request, auto* reply) { c.fault(++requests, request, reply); });
    const auto uri = Below(*ParseRemoteFolder("s3://bucket"), key);
    ASSERT_TRUE(uri.ok());
    const std::string content = Content(uri->ToString());
    EXPECT_THAT(content.substr(0, 500), Not(HasSubstr("secret")));
    if (*c.reason != '\0') {
      EXPECT_EQ(ReasonOf(uri->ToString()), c.reason) << content.substr(0, 300);
    } else {
      EXPECT_TRUE(content == SomeBytes(4 * kPart, 7)) << content.substr(0, 300);
    }
    server_.OnFault(nullptr);
  }
}

TEST_F(S3StoreTest, PartsOfTwoVersionsAreNeverMixed) {
  for (int changes_after = 1; changes_after < 12; changes_after += 2) {
    const std::string before = SomeBytes(4 * kPart, 1), after = SomeBytes(4 * kPart, 2);
    const std::string key = absl::StrCat("k", changes_after);
    server_.Put("bucket", key, before);
    std::atomic<int> requests = 0;
    std::atomic<bool> changed = false;
    server_.OnFault([&](const auto&, auto* reply) {
      if (++requests <= changes_after) return;
      // Of the same size, at the same time.
      if (reply->content != nullptr && reply->content->size() == before.size()) {
        reply->content = std::make_shared<const std::string>(after);
        reply->fields["ETag"] = "\"another\"";
        changed = true;
      }
    });
    EXPECT_TRUE(Content("s3://bucket/" + key) == after) << changes_after;
    EXPECT_TRUE(changed);
    server_.OnFault(nullptr);
  }
}

TEST_F(S3StoreTest, WhatIsNotThereIsNotFound) {
  server_.Put("bucket", "folder/file", "content");
  for (const char* uri : {"s3://bucket/none", "s3://bucket/folder", "s3://other/file"}) {
    EXPECT_TRUE(absl::IsNotFound(Fetch(uri).status())) << uri << Fetch(uri).status();
  }
}

TEST_F(S3StoreTest, TheFilesKeysSignAndAreNotShown) {
  server_.Put("bucket", "a", "content");
  server_.set_access_key("the-key");
  EXPECT_EQ(Content("s3://bucket/a"), "content");
  access_.s3_profile = "other";
  EXPECT_THAT(std::string(Open().status().message()),
              testing::AllOf(HasSubstr("--s3_credentials_file"), Not(HasSubstr("nobody"))));
  access_.s3_profile = "default";
  server_.set_access_key("another");
  const absl::Status status = Fetch("s3://bucket/a").status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_FORBIDDEN");
  EXPECT_THAT(status.ToString(), Not(testing::AnyOf(HasSubstr("the-key"), HasSubstr("secret"))));
  for (const auto& request : server_.http().requests()) {
    for (const auto& [name, value] : request.fields)
      EXPECT_THAT(value, Not(HasSubstr("the-secret")));
  }
}

TEST_F(S3StoreTest, AnonymousRequestsCarryNothing) {
  server_.Put("bucket", "a", "content");
  access_.s3_credentials_file = "";
  access_.s3_anonymous = true;
  setenv("AWS_ACCESS_KEY_ID", "of the environment", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "of the environment", 1);
  EXPECT_EQ(Content("s3://bucket/a"), "content");
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
  for (const auto& request : server_.http().requests()) {
    EXPECT_EQ(request.fields.count("authorization"), 0u);
  }
}

TEST_F(S3StoreTest, TheEnvironmentsKeysServeWithoutAFile) {
  server_.Put("bucket", "a", "content");
  server_.set_access_key("environment-key");
  access_.s3_credentials_file = "";
  setenv("AWS_ACCESS_KEY_ID", "environment-key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "environment-secret", 1);
  EXPECT_EQ(Content("s3://bucket/a"), "content");
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
}

TEST_F(S3StoreTest, TheEnvironmentsProxyIsNotUsed) {
  server_.Put("bucket", "a", "content");
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy"}) {
    setenv(name, "http://127.0.0.1:1", 1);
  }
  EXPECT_EQ(Content("s3://bucket/a"), "content");
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy"}) unsetenv(name);
}

TEST_F(S3StoreTest, TheOperatorsProxyIsUsed) {
  server_.Put("bucket", "a", "content");
  access_.s3_endpoint = "http://storage.example:9000";
  access_.proxy = server_.endpoint();
  // A proxy is asked for whole URLs.
  EXPECT_FALSE(Fetch("s3://bucket/a").ok());
  ASSERT_FALSE(server_.http().requests().empty());
  EXPECT_EQ(server_.http().requests()[0].target, "http://storage.example:9000/bucket/a");
}

TEST_F(S3StoreTest, AnEndpointsCertificateIsChecked) {
  const TestCertificate certificate("IP:127.0.0.1");
  S3Server server(&certificate);
  server.Put("bucket", "a", "content");
  access_.s3_endpoint = server.endpoint();
  EXPECT_EQ(ReasonOf("s3://bucket/a"), "SOURCE_UNTRUSTED");
  access_.ca_file = folder_ / "ca.pem";
  ASSERT_TRUE(WriteFileDurably(access_.ca_file, certificate.pem()).ok());
  files_ = nullptr;
  EXPECT_EQ(Content("s3://bucket/a"), "content");
}

TEST_F(S3StoreTest, BucketsMayBePartOfTheHost) {
  server_.http().Put("/a", {.content = "content", .fields = {{"Last-Modified", "x"}}});
  server_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    // The bucket stands in the host, so the path alone is the key.
    reply->Become(200, std::string("content"));
    reply->fields["ETag"] = "\"1\"";
    EXPECT_EQ(request.target, "/a");
    EXPECT_TRUE(absl::StartsWith(request.fields.at("host"), "bucket.localhost:"));
  });
  access_.s3_endpoint = server_.endpoint("localhost");
  access_.s3_addressing = "virtual";
  EXPECT_EQ(Content("s3://bucket/a"), "content");
}

TEST_F(S3StoreTest, ATaskThatEndsDoesNotWaitForAServer) {
  server_.Put("bucket", "a", SomeBytes(kPart));
  server_.OnFault([](const auto& request, auto* reply) {
    if (IsRead(request)) reply->stall_after = 10;
  });
  auto files = Open();
  ASSERT_TRUE(files.ok());
  std::atomic<int> asked = 0;
  const absl::Time begin = absl::Now();
  const absl::Status status =
      (*files)
          ->Fetch("s3://bucket/a", Purpose::kData,
                  [&](int64_t, int64_t) {
                    return ++asked > 8 ? absl::CancelledError("enough") : absl::OkStatus();
                  })
          .status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(S3StoreTest, AListingIsWholeInOrderAndBounded) {
  server_.set_page_size(3);
  const char* const keys[] = {"data/b/2.jpg", "data/a/10.jpg", "data/a/9.jpg", "data/a b/x.jpg",
                              "data/c.txt",   "database/x",    "data/b/1.jpg"};
  for (const char* key : keys) server_.Put("bucket", key, key);
  objects_ = std::make_unique<ObjectStores>(objects_options_);
  auto stores = objects_->Open(access_);
  ASSERT_TRUE(stores.ok()) << stores.status();
  const KeepGoing keep_going = [] { return absl::OkStatus(); };
  RemoteStore* const s3 = stores->at("s3").get();
  const auto list = [&](const std::string& folder, size_t most) {
    return s3->List(*ParseRemoteFolder(folder), most, keep_going);
  };
  const auto files = list("s3://bucket/data/", 6);
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> paths;
  for (const ListedFile& file : *files) {
    paths.push_back(file.path);
    EXPECT_EQ(file.size, file.path.size() + 5);
  }
  EXPECT_THAT(paths, testing::ElementsAre("a b/x.jpg", "a/10.jpg", "a/9.jpg", "b/1.jpg", "b/2.jpg",
                                          "c.txt"));
  EXPECT_EQ((*files)[0].uri.ToString(), "s3://bucket/data/a%20b/x.jpg");
  EXPECT_EQ(list("s3://bucket", 100)->size(), 7u);
  EXPECT_EQ(GetErrorFacts(list("s3://bucket/data", 5).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_TRUE(absl::IsNotFound(list("s3://bucket/none", 5).status()));
  EXPECT_TRUE(absl::IsNotFound(list("s3://none/data", 5).status()))
      << list("s3://none/data", 5).status();
}

TEST(BoundedCalls, WhoWaitsTooLongGoesAndTheCallIsCounted) {
  BoundedCalls calls;
  const KeepGoing keep_going = [] { return absl::OkStatus(); };
  EXPECT_TRUE(absl::IsDataLoss(
      calls.Run(absl::Seconds(10), keep_going, [] { return absl::DataLossError("as it is"); })));
  const auto end = std::make_shared<std::atomic<bool>>(false);
  const auto hang = [end] {
    while (!*end) absl::SleepFor(absl::Milliseconds(1));
    return absl::OkStatus();
  };
  const absl::Status status = calls.Run(absl::Milliseconds(150), keep_going, hang);
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_UNAVAILABLE") << status;
  EXPECT_TRUE(absl::IsCancelled(calls.Run(
      absl::Seconds(10), [] { return absl::CancelledError(""); }, hang)));
  EXPECT_EQ(calls.left_behind(), 2);
  *end = true;
  while (calls.left_behind() > 0) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace
}  // namespace stockpot
