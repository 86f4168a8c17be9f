// Every fixture, cut short at many lengths and with every byte changed: always a Status, never a
// crash. With sanitizers (the asan preset) this is the fuzz corpus run as a test.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/support/thinning.h"

namespace stockpot {
namespace {

// Opens and reads all there is. Whether that works does not matter here.
void ReadAll(const std::string& path) {
  auto opened = OpenCheckpoint(path, {});
  if (opened.ok()) SummarizeContent(**opened).IgnoreError();
}

std::vector<std::string> Fixtures() {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(Fixture(""))) {
    paths.push_back(file.path().string());
  }
  return paths;
}

TEST(HostileFiles, CutShortAnywhereAreAnError) {
  const TemporaryFolder folder;
  for (const std::string& path : Fixtures()) {
    const std::string whole = ReadBytes(path);
    WriteBytes(folder / "cut", whole);
    // Every length near the end, where a zip archive keeps its directory; then every third.
    const auto step = static_cast<size_t>(Thinning());
    for (size_t size = whole.size() - 1; size > 0;
         size -= std::min(size, size + 200 > whole.size() ? step : 3 * step)) {
      std::filesystem::resize_file(folder / "cut", size);
      ASSERT_FALSE(OpenCheckpoint(folder / "cut", {}).ok()) << path << " cut to " << size;
    }
  }
}

TEST(HostileFiles, WithAnyByteChangedNeverCrash) {
  const TemporaryFolder folder;
  for (const std::string& path : Fixtures()) {
    std::string bytes = ReadBytes(path);
    WriteBytes(folder / "changed", bytes);
    std::fstream file(folder / "changed", std::ios::binary | std::ios::in | std::ios::out);
    for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(Thinning())) {
      const int flips[] = {0x01, 0xFF, 0x80};
      file.seekp(static_cast<std::streamoff>(i));
      file.put(static_cast<char>(bytes[i] ^ flips[i % 3])).flush();
      ReadAll(folder / "changed");
      file.seekp(static_cast<std::streamoff>(i));
      file.put(bytes[i]).flush();
    }
  }
  EXPECT_FALSE(std::filesystem::exists("stockpot-was-here"));
}

}  // namespace
}  // namespace stockpot
