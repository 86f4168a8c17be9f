// What the cache promises: decode once, believe nothing damaged or stale, survive killed builders.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "server/base/files.h"
#include "server/storage/cache_folder.h"
#include "tests/server/worker/dataset/fixtures.h"

namespace stockpot {
namespace {

class CacheTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.WriteFixtures({{"cat/1.jpg", "444.jpg"}, {"dog/1.jpg", "420.jpg"}});
  }

  std::string Digest(const DataSetSource& source) const {
    const auto data_set = folder_.Open(source);
    EXPECT_TRUE(data_set.ok()) << data_set.status();
    return data_set.ok() ? (*data_set)->digest() : "";
  }
  std::string Digest() const { return Digest(folder_.Source()); }

  // The only decoded file.
  std::string CachedFile() const {
    const std::vector<std::string> files = folder_.CacheFiles(".images");
    EXPECT_EQ(files.size(), 1u);
    return files.at(0);
  }

  // Changes a pixel behind the cache's back: it shows whether an open decoded again.
  void MarkCachedPixels(char value) const {
    std::fstream file(CachedFile(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file.put(value);
  }
  char FirstByte() const { return *(*folder_.Open())->example(0, 0); }

  DataSetFolder folder_;
};

TEST_F(CacheTest, DecodesOnce) {
  const char original = FirstByte();
  MarkCachedPixels(static_cast<char>(original ^ 1));
  EXPECT_EQ(FirstByte(), original ^ 1);
}

TEST_F(CacheTest, NoticesAChangedFileAndAnotherGeometry) {
  const std::string before = Digest();
  folder_.WriteFixtures({{"dog/1.jpg", "422.jpg"}});
  const std::string after = Digest();
  EXPECT_NE(after, before);
  DataSetSource source = folder_.Source();
  source.geometry.crop_height = source.geometry.crop_width = 32;
  EXPECT_NE(Digest(source), after);
}

TEST_F(CacheTest, NoticesAFileThatKeptItsSizeAndItsTimeOfModification) {
  const std::string before = Digest();
  const std::string path = folder_.path() + "/dog/1.jpg";
  const auto time = std::filesystem::last_write_time(path);
  std::string content = ReadFixture("444.jpg");
  content.resize(ReadFixture("420.jpg").size());
  folder_.Write("dog/1.jpg", content);
  std::filesystem::last_write_time(path, time);
  EXPECT_FALSE(folder_.Open().ok()) << "the file is now truncated";
}

TEST_F(CacheTest, RebuildsADamagedFile) {
  const std::string digest = Digest();
  const std::string path = CachedFile();
  const std::string intact = *ReadSmallFile(path, 1 << 20);
  std::vector<std::string> damaged = {"",
                                      "x",
                                      intact.substr(0, 4096),
                                      intact + "x",
                                      intact.substr(0, intact.size() - 1),
                                      std::string(intact.size(), '\0')};
  for (size_t i : {0, 10, 80, 137, 145, 153, 170}) {  // each field of the header
    damaged.push_back(intact);
    damaged.back()[i] = static_cast<char>(damaged.back()[i] ^ 1);
  }
  for (const std::string& content : damaged) {
    ASSERT_TRUE(WriteFileDurably(path, content).ok());
    EXPECT_EQ(Digest(), digest);
    EXPECT_EQ(*ReadSmallFile(path, 1 << 20), intact);
  }
}

TEST_F(CacheTest, ManyThreadsMayOpenAtOnce) {
  std::vector<std::string> digests(8);
  {
    std::vector<std::jthread> threads;
    for (std::string& digest : digests) threads.emplace_back([&] { digest = Digest(); });
  }
  for (const std::string& digest : digests) EXPECT_EQ(digest, digests[0]);
  CachedFile();
  EXPECT_TRUE(folder_.CacheFiles(".part-").empty());
}

TEST_F(CacheTest, ManyProcessesMayOpenAtOnce) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(folder_.Open().ok() ? 0 : 1);
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  CachedFile();
}

TEST_F(CacheTest, CleansUpAfterAKilledBuilder) {
  const std::string digest = Digest();
  const std::string path = CachedFile();
  std::filesystem::rename(path, path + ".part-abcdef");
  EXPECT_EQ(Digest(), digest);
  EXPECT_TRUE(folder_.CacheFiles(".part-").empty());
}

TEST_F(CacheTest, DecodingTellsOfEveryImageAndStopsWhenToldTo) {
  const auto open = [this](const Progress& progress) {
    return OpenDataSet(folder_.Source(), folder_.cache_path(), {}, progress).status();
  };
  for (const int64_t last : {1, 2}) {
    EXPECT_EQ(open([&](int64_t done, int64_t) {
                return done == last ? absl::CancelledError("enough") : absl::OkStatus();
              }).code(),
              absl::StatusCode::kCancelled);
    EXPECT_TRUE(folder_.CacheFiles(".images").empty());
  }
  int64_t done = 0;
  const Progress count = [&](int64_t now, int64_t total) {
    EXPECT_EQ(now, ++done);
    EXPECT_EQ(total, 2);
    return absl::OkStatus();
  };
  EXPECT_TRUE(open(count).ok());
  EXPECT_EQ(done, 2);
  EXPECT_TRUE(open(count).ok());
  EXPECT_EQ(done, 2) << "it was decoded again";
}

TEST_F(CacheTest, AnEndAtTheFailPointIsMadeGoodByTheNextOpen) {
  const FailPoints fail_points("cache_file_written", folder_.cache_path() + "/hit");
  ASSERT_TRUE(MakeFolders(folder_.cache_path()).ok());
  const auto open = [&] {
    return OpenDataSet(folder_.Source(), folder_.cache_path(), {}, Unwatched, &fail_points);
  };
  EXPECT_EXIT(open().status().IgnoreError(), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(*ReadSmallFile(folder_.cache_path() + "/hit", 100), "cache_file_written");
  EXPECT_EQ(folder_.CacheFiles(".part-").size(), 1u);
  EXPECT_TRUE(open().ok());
  CachedFile();
  EXPECT_TRUE(folder_.CacheFiles(".part-").empty());
}

TEST_F(CacheTest, CountsWhatWasDecodedAndWhatWasThere) {
  WorkCounters counters;
  const auto open = [&] {
    return OpenDataSet(folder_.Source(), folder_.cache_path(), {}, Unwatched, nullptr, &counters);
  };
  ASSERT_TRUE(open().ok());
  const WorkCounts first = counters.Read();
  EXPECT_EQ(first.caches.at(kDataSetCache).hits, 0);
  EXPECT_EQ(first.caches.at(kDataSetCache).misses, 1);
  EXPECT_GT(first.decode_seconds, 0);
  ASSERT_TRUE(open().ok());
  const WorkCounts second = counters.Read();
  EXPECT_EQ(second.caches.at(kDataSetCache).hits, 1);
  EXPECT_EQ(second.caches.at(kDataSetCache).misses, 1);
  EXPECT_EQ(second.decode_seconds, first.decode_seconds) << "nothing was decoded";
}

TEST_F(CacheTest, LeavesTheWorkOfALivingBuilderAlone) {
  const auto cache = CacheFolder::Create(folder_.cache_path());
  const std::string name = std::string(64, 'a') + ".images";
  const auto lock = cache->LockForBuild(name);
  auto partial = cache->CreatePartial(name, 10);
  ASSERT_TRUE(lock.ok() && partial.ok());
  cache->Evict(1, "");
  EXPECT_TRUE(std::filesystem::exists(partial->path()));
  ASSERT_TRUE(partial->WriteAt("0123456789", 0).ok());
  ASSERT_TRUE(partial->Commit().ok());
  EXPECT_EQ(*ReadSmallFile(cache->PathOf(name), 100), "0123456789");
}

TEST_F(CacheTest, EvictsTheLeastRecentlyUsedAndNothingOfOthers) {
  const auto cache = CacheFolder::Create(folder_.cache_path());
  std::vector<std::string> names;
  for (char digit : {'1', '2', '3', '4'}) {
    names.push_back(std::string(64, digit) + ".images");
    ASSERT_TRUE(WriteFileDurably(cache->PathOf(names.back()), "0123456789").ok());
    std::filesystem::last_write_time(
        cache->PathOf(names.back()),
        std::filesystem::file_time_type::clock::now() - std::chrono::hours('9' - digit));
  }
  ASSERT_TRUE(WriteFileDurably(cache->PathOf("thesis.tex"), "0123456789").ok());
  cache->Touch(names[0]);
  cache->Evict(30, names[1]);
  EXPECT_TRUE(std::filesystem::exists(cache->PathOf(names[0]))) << "used last";
  EXPECT_TRUE(std::filesystem::exists(cache->PathOf(names[1]))) << "just built";
  EXPECT_FALSE(std::filesystem::exists(cache->PathOf(names[2])));
  EXPECT_TRUE(std::filesystem::exists(cache->PathOf(names[3])));
  EXPECT_TRUE(std::filesystem::exists(cache->PathOf("thesis.tex")));
}

TEST_F(CacheTest, StaysWithinItsBoundAndServesWhatIsMapped) {
  DataSetLimits limits;
  const auto first = folder_.Open(folder_.Source());
  ASSERT_TRUE(first.ok()) << first.status();
  limits.max_cache_bytes = 4096 + 2 * (*first)->inputs()[0].byte_count;  // its file's, exactly
  DataSetSource source = folder_.Source();
  source.geometry.resize_height = source.geometry.resize_width = 2;
  ASSERT_TRUE(folder_.Open(source, limits).ok());
  CachedFile();
  const char byte = *(*first)->example(0, 0);
  EXPECT_EQ(FirstByte(), byte);
}

TEST(TensorCache, KeepsTheDigestAndNoticesAChangedFile) {
  TemporaryFolder folder;
  const auto write = [&](uint8_t value) {
    std::filesystem::remove(folder / "d");
    return WriteTensors(folder / "d", {MakeTensor<uint8_t>("labels", DType::kUint8, {1}, {0}),
                                       MakeTensor<uint8_t>("x", DType::kUint8, {1}, {value})});
  };
  const auto digest = [&](const DataSetSource& source) {
    return (*OpenDataSet(source, folder / "cache", {}))->digest();
  };
  const DataSetSource source = write(1);
  const std::string first = digest(source);
  EXPECT_EQ(digest(source), first);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache")) {
    if (entry.path().extension() != ".digest") continue;
    ASSERT_TRUE(WriteFileDurably(entry.path().string(), std::string(129, '0')).ok());
  }
  EXPECT_EQ(digest(source), first) << "a damaged digest is not believed";
  EXPECT_NE(digest(write(2)), first);
  EXPECT_EQ(digest(write(1)), first);
}

}  // namespace
}  // namespace stockpot
