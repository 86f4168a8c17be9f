// That a pass over images which the cache may not hold takes the memory that it is given, however
// many they are, and gives what a pass over the cache gives.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/peak_memory.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

TEST(StreamedEvaluation, TakesTheMemoryThatItIsGiven) {
  constexpr int kSide = 512, kImages = 256;  // 192 MiB of pixels
  constexpr int64_t kMost = 96 * 1024;       // KiB, half of them; more cores decode more ahead
  const TemporaryFolder folder;
  std::filesystem::copy("tests/server/worker/dataset/data/rgb.png", folder / "a.png");
  std::string lines = "path,label\n";
  for (int i = 0; i < kImages; ++i) absl::StrAppend(&lines, "a.png,", i % 3, "\n");
  std::ofstream(folder / "set.csv") << lines;
  DataSetSource source;
  source.kind = DataSetSource::Kind::kCsv;
  source.path = folder / "set.csv";
  source.folder = folder.path();
  source.geometry.resize_height = source.geometry.resize_width = kSide;
  DataSetLimits limits;
  limits.max_cache_bytes = 16 << 20;

  const auto runner = Runner::Load("tests/support/models/image.pt", "cpu");
  ASSERT_TRUE(runner.ok()) << runner.status();
  MeasureOptions options;
  options.batch_size = 2;
  std::vector<std::string> digests;
  const auto measure = [&](const DataSetLimits& within) {
    const auto data_set = OpenDataSet(source, folder / "cache", within);
    EXPECT_TRUE(data_set.ok()) << data_set.status();
    EXPECT_EQ((*data_set)->is_streamed(), within.max_cache_bytes == limits.max_cache_bytes);
    digests.push_back((*data_set)->digest());
    const auto measured = (*runner)->Measure(**data_set, options);
    EXPECT_TRUE(measured.ok()) << measured.status();
    return *measured;
  };
  const int64_t before = AnonymousMemory();
  PeakMemory memory;
  const Measurement streamed = measure(limits);
  const int64_t taken = memory.Stop() - before;
  std::cout << "a pass over " << kImages * kSide * kSide * 3 / 1024 << " KiB took " << taken
            << " KiB of memory\n";
  if (!kSanitized) {
    EXPECT_LT(taken, kMost);
  }
  const Measurement cached = measure({});
  EXPECT_EQ(streamed.cross_entropy_sum, cached.cross_entropy_sum);
  EXPECT_EQ(streamed.margins, cached.margins);
  EXPECT_EQ(streamed.correct_bits, cached.correct_bits);
  EXPECT_EQ(digests[0], digests[1]) << "made of parts, and of the whole";
}

}  // namespace
}  // namespace stockpot
