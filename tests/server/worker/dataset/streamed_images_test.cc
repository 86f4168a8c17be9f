// Images that are larger than the cache may be: the data set of the cache, decoded as it is read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/read_ahead.h"
#include "tests/server/worker/dataset/fixtures.h"
#include "tests/support/data_set_writer/data_set_writer.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kImages = 40;

class StreamedImagesTest : public testing::Test {
 protected:
  StreamedImagesTest() {
    const char* const fixtures[] = {"444.jpg", "420.jpg", "rgb.jpg", "grey.jpg"};
    for (int64_t i = 0; i < kImages; ++i) {
      folder_.Write(absl::StrCat("c", i % 3, "/", i, ".jpg"), ReadFixture(fixtures[i % 4]));
    }
    source_ = folder_.Source();
    source_.geometry.resize_height = source_.geometry.resize_width = 24;
    limits_.max_cache_bytes = 10'000;  // of 40 × 1,728 bytes
    limits_.max_ahead_bytes = 10'000;
  }

  std::shared_ptr<const DataSet> Open(const DataSetLimits& limits) {
    auto data_set = folder_.Open(source_, limits);
    EXPECT_TRUE(data_set.ok()) << data_set.status();
    return data_set.ok() ? *data_set : nullptr;
  }

  static std::vector<int64_t> InOrder() {
    std::vector<int64_t> order(kImages);
    std::iota(order.begin(), order.end(), 0);
    return order;
  }

  static std::string BytesOf(const DataSet& data_set, int64_t i) {
    return {data_set.example(0, i), data_set.inputs()[0].byte_count};
  }

  DataSetFolder folder_;
  DataSetSource source_;
  DataSetLimits limits_;
};

TEST_F(StreamedImagesTest, AreThoseOfTheCacheInWhateverOrderTheyAreRead) {
  const auto streamed = Open(limits_);
  ASSERT_NE(streamed, nullptr);
  EXPECT_TRUE(streamed->is_streamed());
  EXPECT_THAT(folder_.CacheFiles(".images"), IsEmpty());
  EXPECT_EQ(folder_.CacheFiles(".digest").size(), 1u);
  const auto cached = Open({});
  EXPECT_FALSE(cached->is_streamed());
  EXPECT_EQ(streamed->digest(), cached->digest());
  EXPECT_EQ(streamed->labels(), cached->labels());
  EXPECT_EQ(streamed->class_names(), cached->class_names());
  EXPECT_EQ(streamed->class_count(), cached->class_count());
  EXPECT_EQ(streamed->inputs()[0].shape, cached->inputs()[0].shape);

  std::mt19937 random(3);
  std::vector<int64_t> order = InOrder();
  for (const char* const announced : {"all", "others", "none"}) {
    SCOPED_TRACE(announced);
    std::shared_ptr<const void> ahead;
    if (announced[0] != 'n') ahead = streamed->WillBring(order);
    if (announced[0] == 'o') std::reverse(order.begin(), order.end());
    for (size_t first = 0; first < order.size(); first += 7) {
      const auto batch = absl::MakeConstSpan(order).subspan(first, 7);
      ASSERT_TRUE(streamed->Bring(batch).ok());
      for (const int64_t i : batch) EXPECT_EQ(BytesOf(*streamed, i), BytesOf(*cached, i)) << i;
    }
    EXPECT_TRUE(streamed->CheckUnchanged().ok());
    std::shuffle(order.begin(), order.end(), random);
  }
}

TEST_F(StreamedImagesTest, TheirDigestIsMadeOnce) {
  ASSERT_NE(Open(limits_), nullptr);
  std::vector<int64_t> told;
  const Progress progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, kImages);
    told.push_back(done);
    return absl::OkStatus();
  };
  ASSERT_TRUE(OpenDataSet(source_, folder_.cache_path(), limits_, progress).ok());
  EXPECT_THAT(told, IsEmpty());
  std::filesystem::remove_all(folder_.cache_path());
  ASSERT_TRUE(OpenDataSet(source_, folder_.cache_path(), limits_, progress).ok());
  EXPECT_EQ(told.size(), static_cast<size_t>(kImages));
}

TEST_F(StreamedImagesTest, WhatChangedMeanwhileIsSaid) {
  const auto streamed = Open(limits_);
  folder_.Write("c0/0.jpg", ReadFixture("rgb.jpg"));
  const absl::Status status = streamed->CheckUnchanged();
  EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << status;
  EXPECT_NE(Open(limits_)->digest(), streamed->digest());
}

TEST_F(StreamedImagesTest, AnImageThatCannotBeReadIsNamed) {
  folder_.Write("c2/x.jpg", "no image");
  const absl::Status status = folder_.Open(source_, limits_).status();
  EXPECT_EQ(GetErrorFacts(status).reason, "IMAGE_UNREADABLE") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("c2/x.jpg"));
  EXPECT_THAT(folder_.CacheFiles(".digest"), IsEmpty());
}

TEST_F(StreamedImagesTest, CompressedRowsKeepTheirOrder) {
  std::vector<std::string> contents(6, ReadFixture("444.jpg"));
  WriteParquet(folder_.path() + "/../set.parquet",
               {.images = {{"image", contents}}, .numbers = {{"label", {0, 1, 2, 0, 1, 2}}}});
  source_.kind = DataSetSource::Kind::kParquet;
  source_.path = folder_.path() + "/../set.parquet";
  EXPECT_FALSE(Open(limits_)->reads_well_in_any_order());
  EXPECT_TRUE(Open({})->reads_well_in_any_order());
}

// ---- ReadAhead ----

TEST(ReadAhead, GivesAllInOrderHoweverFewSlotsAndThreads) {
  const std::vector<int64_t> order = {7, 3, 9, 1, 0, 4, 8, 2};
  for (const size_t slots : {1, 2, 3, 100}) {
    for (const int threads : {1, 4}) {
      std::atomic<int64_t> made = 0;
      ReadAhead ahead(order, sizeof(int64_t), slots, threads, [&](int64_t i, char* to) {
        ++made;
        std::memcpy(to, &i, sizeof(i));
        return absl::OkStatus();
      });
      int64_t taken = 0;
      for (const int64_t i : order) {
        int64_t found = -1;
        ASSERT_TRUE(ahead.Take(i, reinterpret_cast<char*>(&found)).value());
        EXPECT_EQ(found, i);
        EXPECT_LE(made, ++taken + static_cast<int64_t>(slots)) << "no more than there is room for";
      }
      char ignored[sizeof(int64_t)];
      EXPECT_FALSE(ahead.Take(2, ignored).value()) << "there are no more";
    }
  }
}

TEST(ReadAhead, LeavesWhatIsNotNextAndStopsInTheMiddle) {
  ReadAhead ahead({1, 2, 3}, 1, 1, 2, [](int64_t i, char* to) {
    *to = static_cast<char>(i);
    return i == 2 ? absl::DataLossError("two") : absl::OkStatus();
  });
  char byte = 0;
  EXPECT_FALSE(ahead.Take(3, &byte).value());
  EXPECT_TRUE(ahead.Take(1, &byte).value());
  EXPECT_EQ(byte, 1);
  EXPECT_TRUE(absl::IsDataLoss(ahead.Take(2, &byte).status()));
  ReadAhead none({1}, 1, 1, 0, [](int64_t, char*) { return absl::OkStatus(); });
  EXPECT_FALSE(none.Take(1, &byte).value());
}

}  // namespace
}  // namespace stockpot
