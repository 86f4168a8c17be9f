#include "server/worker/checkpoint/summed_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(SummedFile, HasWhatWasWrittenWhicheverWayItTakes) {
  const TemporaryFolder folder;
  const std::string content = RandomBytes((9 << 20) + 123);
  for (const auto cache : {SummedFile::SystemCache::kUsed, SummedFile::SystemCache::kBypassed}) {
    // A few bytes, an exact multiple of what a disk takes, and more than that.
    for (const size_t size : {size_t{0}, size_t{5}, size_t{8} << 20, content.size()}) {
      const std::string expected = content.substr(0, size);
      const std::string path = folder / "file";
      auto file = SummedFile::Create(path, cache);
      ASSERT_TRUE(file.ok()) << file.status();
      for (size_t begin = 0; begin < size; begin += 1000003) {
        ASSERT_TRUE(file->Write(absl::string_view(expected).substr(begin, 1000003)).ok());
      }
      const auto written = file->Finish();
      ASSERT_TRUE(written.ok()) << written.status();
      EXPECT_EQ(written->byte_count, size);
      EXPECT_EQ(written->sha256, Sha256Hex(expected));
      EXPECT_TRUE(ReadFile(path) == expected) << size;
      std::filesystem::remove(path);
    }
  }
}

TEST(SummedFile, IsStoredByOneThreadAndSummedByAnother) {
  const TemporaryFolder folder;
  const std::string content = RandomBytes(5 << 20);
  auto file = SummedFile::Create(folder / "file", SummedFile::SystemCache::kBypassed);
  ASSERT_TRUE(file.ok()) << file.status();
  {
    const std::jthread summing([&] { file->Sum(content); });
    ASSERT_TRUE(file->Store(content).ok());
  }
  EXPECT_EQ(file->Finish()->sha256, Sha256Hex(content));
  EXPECT_TRUE(ReadFile(folder / "file") == content);
}

}  // namespace
}  // namespace stockpot
