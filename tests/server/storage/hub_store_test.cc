#include "absl/strings/str_cat.h"
#include "tests/server/storage/remote_files_test.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

class HubStoreTest : public RemoteFilesTest {
 protected:
  HubStoreTest() {
    access_.hf_endpoint = hub_.endpoint();
    hub_.Commit("org/repo", "main", first_, {{"a/b.bin", SomeBytes(3 * kPart)}});
  }
  std::string PinnedOf(const std::string& uri) {
    const auto copy = Fetch(uri);
    return copy.ok() ? copy->pinned_uri : copy.status().ToString();
  }

  const std::string first_ = std::string(40, '1'), second_ = std::string(40, '2');
  HubServer hub_;
};

TEST_F(HubStoreTest, ABranchIsPinnedToItsCommit) {
  const std::string pinned = "hf://org/repo@" + first_ + "/a/b.bin";
  for (const char* uri : {"hf://org/repo/a/b.bin", "hf://org/repo@main/a/b.bin", pinned.c_str()}) {
    EXPECT_EQ(PinnedOf(uri), pinned) << uri;
    EXPECT_EQ(ContentOf(Fetch(uri)), SomeBytes(3 * kPart)) << uri;
  }
  hub_.Commit("org/repo", "main", second_, {{"a/b.bin", "other content"}});
  EXPECT_EQ(ContentOf(Fetch("hf://org/repo/a/b.bin")), "other content");
  EXPECT_EQ(PinnedOf("hf://org/repo/a/b.bin"), "hf://org/repo@" + second_ + "/a/b.bin");
  EXPECT_EQ(ContentOf(Fetch(pinned)), SomeBytes(3 * kPart));
  EXPECT_EQ(CountFiles(), 2u);
}

TEST_F(HubStoreTest, DataSetsBranchesOfAnyNameAndPathsThatNeedEncodingAreRead) {
  hub_.Commit("datasets/org/set", "refs%2Fpr%2F1", first_, {{"x%20y.bin", "data"}});
  const std::string uri = "hf://datasets/org/set@refs%2Fpr%2F1/x y.bin";
  EXPECT_FALSE(Fetch(uri).ok());
  EXPECT_EQ(ContentOf(Fetch("hf://datasets/org/set@refs%2Fpr%2F1/x%20y.bin")), "data");
}

TEST_F(HubStoreTest, WhereRedirectsDoNotTellTheCommitTheApiDoes) {
  hub_.set_tells_commit(false);
  hub_.Commit("datasets/org/set", "main", second_, {{"x.bin", "data"}});
  EXPECT_EQ(PinnedOf("hf://org/repo/a/b.bin"), "hf://org/repo@" + first_ + "/a/b.bin");
  EXPECT_EQ(PinnedOf("hf://datasets/org/set/x.bin"), "hf://datasets/org/set@" + second_ + "/x.bin");
  hub_.OnFault([](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.target.find("/api/") == std::string::npos) return;
    reply->content = std::make_shared<const std::string>("[]");
    reply->size = 2;
  });
  EXPECT_THAT(PinnedOf("hf://org/repo/a/b.bin"), HasSubstr("which commit the revision is"));
}

TEST_F(HubStoreTest, AListingIsOfOneCommitWholeAndInOrder) {
  hub_.Commit("org/repo", "main", second_,
              {{"sweep/b/1.bin", "1"},
               {"sweep/a.bin", "22"},
               {"sweep/b/0.bin", "333"},
               {"sweeps/x", "4"},
               {"README.md", "5"}});
  hub_.set_page_size(2);
  const auto files = Open();
  ASSERT_NE(files, nullptr);
  const auto list = [&](const std::string& folder, size_t most = 100) {
    return files->List(*ParseRemoteFolder(folder), most, [] { return absl::OkStatus(); });
  };
  const auto sweep = list("hf://org/repo/sweep/");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  std::string text;
  for (const ListedFile& file : *sweep) absl::StrAppend(&text, file.path, " ", file.size, "\n");
  EXPECT_EQ(text, "a.bin 2\nb/0.bin 3\nb/1.bin 1\n");
  EXPECT_EQ((*sweep)[1].uri.ToString(), "hf://org/repo@" + second_ + "/sweep/b/0.bin");
  EXPECT_EQ(list("hf://org/repo")->size(), 5u);
  EXPECT_EQ(list("hf://org/repo@" + first_)->size(), 1u);
  EXPECT_EQ(GetErrorFacts(list("hf://org/repo", 4).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_TRUE(absl::IsNotFound(list("hf://org/repo/none").status()));
  EXPECT_EQ(GetErrorFacts(list("https://host/folder").status()).reason, "SOURCE_UNSUPPORTED");
  // A next page elsewhere is not followed.
  hub_.OnFault([](const HttpServer::Request&, HttpServer::Reply* reply) {
    if (reply->fields.count("Link") > 0) {
      reply->fields["Link"] = "<http://127.0.0.1:1/hub/api/models/org/repo>; rel=\"next\"";
    }
  });
  EXPECT_EQ(GetErrorFacts(list("hf://org/repo").status()).reason, "SOURCE_UNSUPPORTED");
}

TEST_F(HubStoreTest, WhatIsNotThereIsNotFound) {
  for (const char* uri : {"hf://org/repo/none", "hf://org/repo@none/a/b.bin", "hf://org/no/a"}) {
    EXPECT_EQ(Fetch(uri).status().code(), absl::StatusCode::kNotFound) << uri;
  }
}

TEST_F(HubStoreTest, TheTokenGoesToTheEndpointAlone) {
  hub_.set_token("hub-token");
  EXPECT_EQ(GetErrorFacts(Fetch("hf://org/repo/a/b.bin").status()).reason, "SOURCE_FORBIDDEN");
  access_.hf_token_file = folder_ / "token";
  ASSERT_TRUE(WriteFileDurably(access_.hf_token_file, "hub-token\n").ok());
  // The signed addresses are another host's.
  access_.allowed_private_hosts.push_back("localhost");
  access_.allowed_redirect_hosts = {"localhost"};
  hub_.OnFault([this](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (reply->status != 302) {
      EXPECT_EQ(request.fields.count("authorization"), 0u) << request.target;
      return;
    }
    reply->fields["Location"] = hub_.http().Url(reply->fields["Location"], "localhost");
  });
  files_.reset();
  EXPECT_EQ(ContentOf(Fetch("hf://org/repo/a/b.bin")), SomeBytes(3 * kPart));
  access_.allowed_redirect_hosts = {};
  files_.reset();
  EXPECT_EQ(GetErrorFacts(Fetch("hf://org/repo/a/b.bin").status()).reason, "PATH_NOT_ALLOWED");
}

TEST_F(HubStoreTest, ContentThatIsNotOfItsSumIsAnError) {
  hub_.OnFault([](const HttpServer::Request&, HttpServer::Reply* reply) {
    if (reply->fields.count("X-Linked-Etag") > 0) {
      reply->fields["X-Linked-Etag"] = "\"" + std::string(64, '0') + "\"";
    }
  });
  const absl::Status status = Fetch("hf://org/repo/a/b.bin").status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_DAMAGED");
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret")));
  EXPECT_EQ(CountFiles(), 0u);
}

}  // namespace
}  // namespace stockpot
