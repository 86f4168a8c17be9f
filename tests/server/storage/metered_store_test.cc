#include "server/storage/metered_store.h"

#include "tests/server/storage/remote_files_test.h"

namespace stockpot {
namespace {

// Answers as it is told.
class ScriptedStore final : public RemoteStore {
 public:
  absl::Status answer;

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri&, Purpose,
                                                   const KeepGoing& keep_going) override {
    RETURN_IF_ERROR(keep_going());
    return answer;
  }
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri&, size_t,
                                               const KeepGoing&) override {
    if (answer.ok()) return std::vector<ListedFile>();
    return answer;
  }
  absl::Status Write(const RemoteUri&, const std::shared_ptr<const MappedFile>&,
                     const Progress& progress) override {
    RETURN_IF_ERROR(progress(1, 2));
    return answer;
  }
  absl::Status Remove(const RemoteUri&, const KeepGoing&) override { return answer; }
  absl::Status TryWriting(const RemoteUri&, const KeepGoing&) override { return answer; }
};

class MeteredStoreTest : public testing::Test {
 protected:
  static absl::Status Go() { return absl::OkStatus(); }
  static absl::Status StopNow() { return absl::UnavailableError("the caller has had enough"); }
  StorageCounts Counts() { return counters_.Read().storage["s3"]; }

  WorkCounters counters_;
  ScriptedStore* const scripted_ = new ScriptedStore();
  MeteredStore store_{"s3", std::unique_ptr<RemoteStore>(scripted_), &counters_};
  const RemoteUri uri_ = *ParseRemoteUri("s3://bucket/key");
};

TEST_F(MeteredStoreTest, EveryMethodIsARequestAndWhatFailsAnError) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileDurably(folder / "a", "12345").ok());
  const auto file = *MappedFile::Open(folder / "a");
  const auto all = [&] {
    store_.List(uri_, 1, Go).status().IgnoreError();
    store_.Remove(uri_, Go).IgnoreError();
    store_.TryWriting(uri_, Go).IgnoreError();
    store_.Write(uri_, file, Unwatched).IgnoreError();
  };
  all();
  EXPECT_EQ(Counts().requests, 4);
  EXPECT_EQ(Counts().errors, 0);
  EXPECT_EQ(Counts().bytes_written, 5);
  scripted_->answer = absl::UnavailableError("down");
  all();
  store_.Look(uri_, Purpose::kData, Go).status().IgnoreError();
  EXPECT_EQ(Counts().requests, 9);
  EXPECT_EQ(Counts().errors, 5);
  EXPECT_EQ(Counts().bytes_written, 5) << "what failed wrote nothing that counts";
}

TEST_F(MeteredStoreTest, WhatIsNotThereAndWhatTheCallerEndsAreNoErrors) {
  scripted_->answer = absl::NotFoundError("none");
  EXPECT_TRUE(absl::IsNotFound(store_.Look(uri_, Purpose::kData, Go).status()));
  scripted_->answer = absl::OkStatus();
  EXPECT_TRUE(absl::IsUnavailable(store_.Look(uri_, Purpose::kData, StopNow).status()));
  EXPECT_EQ(Counts().requests, 2);
  EXPECT_EQ(Counts().errors, 0);
}

using MeteredFiles = RemoteFilesTest;

TEST_F(MeteredFiles, DownloadsCountBytesTriesAndCacheHits) {
  WorkCounters counters;
  options_.counters = &counters;
  const Bytes content = SomeBytes(3 * kPart);
  server_.Put("/a", {.content = content});
  bool broken = false;
  server_.OnReply([&](const HttpServer::Request&, HttpServer::Reply* reply) {
    if (reply->size != kPart || broken) return;
    broken = true;
    reply->Become(503);
  });
  EXPECT_EQ(Content("/a"), content);
  WorkCounts counts = counters.Read();
  const StorageCounts first = counts.storage["http"];
  EXPECT_GE(first.requests, 5) << "a look, three parts, one of them twice";
  EXPECT_EQ(first.errors, 1);
  EXPECT_EQ(first.bytes_read, static_cast<int64_t>(content.size()));
  EXPECT_EQ(counts.caches[kDownloadCache].hits, 0);
  EXPECT_EQ(counts.caches[kDownloadCache].misses, 1);

  EXPECT_EQ(Content("/a"), content);
  EXPECT_FALSE(Fetch(server_.Url("/none")).ok());
  counts = counters.Read();
  EXPECT_EQ(counts.storage["http"].requests, first.requests + 2) << "a look each";
  EXPECT_EQ(counts.storage["http"].errors, 1) << "that there is none is an answer";
  EXPECT_EQ(counts.storage["http"].bytes_read, first.bytes_read);
  EXPECT_EQ(counts.caches[kDownloadCache].hits, 1);
}

}  // namespace
}  // namespace stockpot
