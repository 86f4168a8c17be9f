#include "server/worker/evaluation/logits_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "server/base/digest.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

constexpr uint64_t kHeader = 4096;

class LogitsCacheTest : public testing::Test {
 protected:
  LogitsCache Create(uint64_t max_bytes = 0) {
    auto created = LogitsCache::Create(folder_ / "logits", max_bytes, nullptr);
    EXPECT_TRUE(created.ok()) << created.status();
    return *std::move(created);
  }

  std::string PathOf(const std::string& key) {
    return folder_ / ("logits/" + Sha256Hex(key) + ".logits");
  }

  TemporaryFolder folder_;
  const std::vector<float> values_ = {1, 2, 3, 4, 5, 6};
};

TEST_F(LogitsCacheTest, GivesBackWhatWasKept) {
  const auto kept = Create().Keep("key", 3, values_);
  ASSERT_TRUE(kept.ok()) << kept.status();
  const auto opened = Create().Open("key", 2);
  ASSERT_TRUE(opened.ok()) << opened.status();
  for (const KeptLogits& found : {*kept, *opened}) {
    EXPECT_EQ(found.classes, 3);
    EXPECT_THAT(found.values, testing::ElementsAreArray(values_));
  }
}

TEST_F(LogitsCacheTest, AKeyMayBeAnything) {
  const std::string key = "../../etc/passwd\n";
  ASSERT_TRUE(Create().Keep(key, 3, values_).ok());
  EXPECT_TRUE(Create().Open(key, 2).ok());
  EXPECT_TRUE(std::filesystem::exists(PathOf(key)));
}

TEST_F(LogitsCacheTest, KnowsNothingElse) {
  ASSERT_TRUE(Create().Keep("key", 3, values_).ok());
  EXPECT_TRUE(absl::IsNotFound(Create().Open("other", 2).status()));
  EXPECT_TRUE(absl::IsNotFound(Create().Open("key", 3).status())) << "another number of examples";
  std::filesystem::copy(PathOf("key"), PathOf("other"));
  EXPECT_TRUE(absl::IsNotFound(Create().Open("other", 2).status())) << "another's file";
}

TEST_F(LogitsCacheTest, DamageAnywhereIsNoticed) {
  // Magic, name, examples, classes, both sums, the first and the last value.
  for (const uint64_t at : {uint64_t{0}, uint64_t{8}, uint64_t{71}, uint64_t{72}, uint64_t{80},
                            uint64_t{88}, uint64_t{96}, uint64_t{159}, kHeader, kHeader + 23}) {
    ASSERT_TRUE(Create().Keep("key", 3, values_).ok());
    std::fstream file(PathOf("key"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    EXPECT_TRUE(absl::IsNotFound(Create().Open("key", 2).status())) << at;
  }
}

TEST_F(LogitsCacheTest, OtherSizesAreNoticed) {
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{100}, kHeader, kHeader + 20, kHeader + 23, kHeader + 28}) {
    ASSERT_TRUE(Create().Keep("key", 3, values_).ok());
    std::filesystem::resize_file(PathOf("key"), size);
    EXPECT_TRUE(absl::IsNotFound(Create().Open("key", 2).status())) << size;
  }
}

TEST_F(LogitsCacheTest, KeepsToItsBound) {
  const LogitsCache cache = Create(2 * (kHeader + 24));
  const auto first = cache.Keep("a", 3, values_);
  ASSERT_TRUE(cache.Keep("b", 3, values_).ok());
  using Clock = std::filesystem::file_time_type::clock;
  std::filesystem::last_write_time(PathOf("b"), Clock::now() - std::chrono::hours(1));
  ASSERT_TRUE(cache.Keep("c", 3, values_).ok());
  EXPECT_TRUE(cache.Open("a", 2).ok());
  EXPECT_FALSE(cache.Open("b", 2).ok()) << "the least recently used one";
  EXPECT_TRUE(cache.Open("c", 2).ok());
  std::filesystem::remove(PathOf("a"));
  EXPECT_THAT(first->values, testing::ElementsAreArray(values_)) << "mapped: good all the same";
}

}  // namespace
}  // namespace stockpot
