#include "server/storage/remote_uri.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "server/base/status.h"
#include "server/storage/local_path.h"

namespace stockpot {
namespace {

TEST(RemoteUri, HasOneSpelling) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://host/a/b.pt", "https://host/a/b.pt"},
      {"HTTPS://Host.Example.COM:443/a", "https://host.example.com/a"},
      {"http://host:80/a", "http://host/a"},
      {"http://host:443/a", "http://host:443/a"},
      {"http://[2001:DB8::1]:8080/a", "http://[2001:db8::1]:8080/a"},
      {"https://host/%7euser/%41", "https://host/~user/A"},
      {"https://host/a%20b%e2%82%ac", "https://host/a%20b%E2%82%AC"},
      {"https://host//a", "https://host//a"},
      {"https://host/...", "https://host/..."},
      {"https://host/a..b/.c", "https://host/a..b/.c"},
      {"hf://org/repo/a/b.safetensors", "hf://org/repo/a/b.safetensors"},
      {"HF://Org/Repo@main/a", "hf://Org/Repo@main/a"},
      {"hf://org/repo@refs%2Fpr%2f1/a", "hf://org/repo@refs%2Fpr%2F1/a"},
      {"hf://datasets/org/repo@v1.0/data/x.safetensors",
       "hf://datasets/org/repo@v1.0/data/x.safetensors"},
      {"S3://my-bucket.x/Sweep/%61%20b=%2a", "s3://my-bucket.x/Sweep/a%20b=*"},
      {"GS://bucket/a", "gs://bucket/a"},
      {"az://container/a%20b", "abfs://container/a%20b"},
      {"ABFS://container/a", "abfs://container/a"},
  };
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<RemoteUri> uri = ParseRemoteUri(text);
    ASSERT_TRUE(uri.ok()) << text << ": " << uri.status();
    EXPECT_EQ(uri->ToString(), expected) << text;
    EXPECT_EQ(ParseRemoteUri(uri->ToString())->ToString(), expected) << "it stays as it is";
  }
}

TEST(RemoteUri, RefusesWhatMayMeanSomethingElseToAnother) {
  const std::string cases[] = {
      "",
      "https://",
      "https:///a",
      "https://user@host/a",
      "https://user:secret@host/a",
      "https://allowed.com@evil.com/a",
      "https://host\\@evil.com/a",
      "https://host/a?x=1",
      "https://host/a?",
      "https://host/a#b",
      "https://host/../a",
      "https://host/a/..",
      "https://host/./a",
      "https://host/%2e%2e/a",
      "https://host/.%2E/a",
      "https://host/%252e%252e/a",
      "https://host/..;/a",
      "https://host/..;x=1/a",
      "https://host/a%2fb",
      "https://host/a%5cb",
      "https://host/a\\b",
      "https://host/a%00",
      "https://host/a%0d%0aX: y",
      "https://host/a%2",
      "https://host/a%zz",
      "https://host/a b",
      "https://host/a\nb",
      "https://host/\xe2\x82\xac",
      "https://h\xc3\xb6st/a",
      "https://host:0/a",
      "https://host:65536/a",
      "https://host:/a",
      "https://host:8o/a",
      "https://host:+1/a",
      "https://.host/a",
      "https://host./a",
      "https://ho..st/a",
      "https://-host/a",
      "https://[::1/a",
      "https://[::1]x/a",
      "https://[fe80::1%25eth0]/a",
      "https://[]/a",
      "https://*/a",
      "https://host/" + std::string(2048, 'a'),
      "ftp://host/a",
      "file:///a",
      "gopher://host/a",
      "hf://",
      "hf://org/repo@/a",
      "hf://org/repo@../a",
      "hf://org/repo@a%2F..%2Fb/a",
      "hf://org/repo@a%2F%2Fb/a",
      "hf://org/repo@a%20b/a",
      "hf://org/repo/../other/a",
      "hf://org/..%2fother/a",
      "hf://spaces/org/repo/a",
      "hf://api/models/a",
      "hf://.org/repo/a",
      "hf://org:80/repo/a",
      "hf://user@org/repo/a",
      "s3://",
      "s3:///a",
      "s3://bucket",
      "s3://Bucket/a",
      "s3://b/a",
      "s3://bucket:9000/a",
      "s3://key:secret@bucket/a",
      "s3://bucket/a//b",
      "s3://bucket//a",
      "s3://bucket/../other/a",
      "s3://bucket/a?endpoint_override=evil.example",
      "s3://bu..ket/a",
      "gs://bucket/a?endpoint_override=evil.example",
      "gs://anonymous@bucket/a",
      "abfs://container@account.dfs.core.windows.net/a",
      "az://container/a//b",
      "s3://bucket-/a",
      "abfs://container@account.dfs.core.windows.net/a",
      "s3://bucket/a#1",
  };
  for (const std::string& text : cases) {
    const absl::Status status = ParseRemoteUri(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(GetErrorFacts(status).reason, "INVALID_FIELD") << text;
    EXPECT_EQ(status.message().find("secret"), std::string::npos) << status;
  }
}

TEST(RemoteUri, OnlyARedirectMayHaveAQueryAndItIsNotShown) {
  const absl::StatusOr<RemoteUri> uri = ParseRedirect("https://cdn.example/a%20b?sig=secret#top");
  ASSERT_TRUE(uri.ok()) << uri.status();
  EXPECT_EQ(uri->ToString(), "https://cdn.example/a%20b");
  EXPECT_EQ(uri->Target(), "https://cdn.example/a%20b?sig=secret");
  for (const char* text : {"ftp://host/a", "file:///etc/passwd", "//host/a", "/a", "",
                           "https://user:secret@host/a", "https://host/a/../b"}) {
    EXPECT_FALSE(ParseRedirect(text).ok()) << text;
  }
}

TEST(RemoteFolder, MayBeAllOfABucketOrRepository) {
  const std::pair<const char*, const char*> cases[] = {
      {"s3://bucket", "s3://bucket"},
      {"s3://bucket/", "s3://bucket"},
      {"s3://bucket/a/b/", "s3://bucket/a/b"},
      {"hf://datasets/org/set@main/", "hf://datasets/org/set@main"},
      {"hf://org/repo/a%20b", "hf://org/repo/a%20b"},
  };
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<RemoteUri> folder = ParseRemoteFolder(text);
    ASSERT_TRUE(folder.ok()) << text << folder.status();
    EXPECT_EQ(folder->ToString(), expected);
    EXPECT_EQ(Below(*folder, "x y/z")->ToString(), std::string(expected) + "/x%20y/z");
  }
  EXPECT_EQ(DecodedPath(*ParseRemoteFolder("hf://org/repo/a%20b")), "a b");
  for (const char* text : {"hf://org/", "s3://", "s3://bucket/../a", "s3://bucket?list"}) {
    EXPECT_FALSE(ParseRemoteFolder(text).ok()) << text;
  }
  for (const char* path : {"../a", "a/../b", "a/./b", "a\\b", "a\nb"}) {
    EXPECT_FALSE(Below(*ParseRemoteFolder("s3://bucket/x"), path).ok()) << path;
  }
}

TEST(UriPrefix, EndsWhereAPartOfThePathEnds) {
  struct Case {
    const char* prefix;
    const char* uri;
    bool covers;
  };
  const std::string commit(40, 'a');
  const std::string pinned = "hf://org/repo@" + commit;
  const std::string pinned_file = pinned + "/model.pt";
  const Case cases[] = {
      {"https://host", "https://host/a", true},
      {"https://host/", "https://host/a/b", true},
      {"https://host/team", "https://host/team/a", true},
      {"https://host/team/", "https://host/team/a", true},
      {"https://host/team/a", "https://host/team/a", true},
      {"https://HOST:443/team", "https://host/%74eam/a", true},
      {"https://host/team", "https://host/teammate/a", false},
      {"https://host/team", "https://host/Team/a", false},
      {"https://host/team", "http://host/team/a", false},
      {"https://host/team", "https://host:444/team/a", false},
      {"https://host/team", "https://host.evil.com/team/a", false},
      {"https://host", "https://evil.com/host/a", false},
      {"hf://org", "hf://org/any/a", true},
      {"hf://org/", "hf://org/any@main/a", true},
      {"hf://org/", "hf://organisation/any/a", false},
      {"hf://org/", "hf://datasets/org/any/a", false},
      {"hf://datasets/org/", "hf://datasets/org/any/a", true},
      {"hf://org/repo", "hf://org/repo@v2/a/b", true},
      {"hf://org/repo", "hf://org/repo2/a", false},
      {"hf://org/repo/a", "hf://org/repo@x/a/b", true},
      {"hf://org/repo/a", "hf://org/repo/ab", false},
      {pinned.c_str(), pinned_file.c_str(), true},
      {pinned.c_str(), "hf://org/repo@main/model.pt", false},
      {"s3://bucket", "s3://bucket/a", true},
      {"s3://bucket/team/", "s3://bucket/team/a", true},
      {"s3://bucket/team", "s3://bucket/teammate/a", false},
      {"s3://bucket", "s3://bucket2/a", false},
      {"gs://bucket/team", "gs://bucket/team/a", true},
      {"gs://bucket", "s3://bucket/a", false},
      {"az://container", "abfs://container/a", true},
      {"abfs://container/a", "az://container/a/b", true},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<UriPrefix> prefix = UriPrefix::Parse(c.prefix);
    ASSERT_TRUE(prefix.ok()) << c.prefix << ": " << prefix.status();
    EXPECT_EQ(prefix->Covers(*ParseRemoteUri(c.uri)), c.covers) << c.prefix << " " << c.uri;
  }
  for (const char* text : {"https://", "host/team", "https://*.host/", "https://host/a/../b",
                           "https://host/?a", "hf://org/repo@main/", "s3://", "ftp://bucket/"}) {
    EXPECT_FALSE(UriPrefix::Parse(text).ok()) << text;
  }
}

TEST(AllowListOfUris, AllowsWhatItsPrefixesCoverAndNothingElse) {
  const AllowList list =
      *AllowList::Create({"/data"}, {"/arch", "https://host/arch/"}, {}, {"https://host/data/"});
  EXPECT_EQ(*list.CheckData("HTTPS://host/data/%61"), "https://host/data/a");
  EXPECT_TRUE(list.CheckData("/data/a").ok());
  EXPECT_TRUE(list.CheckArchitecture("https://host/arch/a").ok());
  EXPECT_TRUE(list.CheckArchitecture("/arch/a").ok());
  const absl::Status data = list.CheckData("https://host/arch/a").status();
  EXPECT_EQ(data.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetErrorFacts(data).reason, "PATH_NOT_ALLOWED");
  const absl::Status architecture = list.CheckArchitecture("https://host/data/a").status();
  EXPECT_EQ(GetErrorFacts(architecture).reason, "ARCHITECTURE_NOT_ALLOWED");
  EXPECT_EQ(GetErrorFacts(list.CheckData("https://host/data/../a").status()).reason,
            "INVALID_FIELD");
  EXPECT_EQ(list.CheckData("ftp://bucket/a").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(GetErrorFacts(list.CheckData("s3://bucket/a").status()).reason, "PATH_NOT_ALLOWED");
  EXPECT_FALSE(list.CheckOutput("https://host/data/a").ok()) << "nothing is written there";
  EXPECT_FALSE(AllowList::Create({}, {}, {}, {"/data"}).ok()) << "a path is no URI";
  EXPECT_FALSE(AllowList::Create({}, {})->CheckData("https://host/a").ok());
}

}  // namespace
}  // namespace stockpot
