#include "server/worker/checkpoint/shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"

namespace stockpot {
namespace {

std::vector<TensorInfo> TensorsOf(const std::vector<int64_t>& byte_counts) {
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < byte_counts.size(); ++i) {
    tensors.push_back({absl::StrCat("t", i), DType::kUint8, {byte_counts[i]}});
  }
  return tensors;
}

TEST(DivideIntoShards, FillsOneFileAfterTheOther) {
  const struct {
    std::vector<int64_t> bytes;
    uint64_t max_bytes;
    std::vector<size_t> ends;
  } cases[] = {
      {{}, 10, {0}},
      {{10}, 10, {1}},
      {{11}, 10, {1}},  // alone it may be larger
      {{4, 6}, 10, {2}},
      {{4, 7}, 10, {1, 2}},
      {{4, 6, 0, 1}, 10, {3, 4}},
      {{4, 11, 4}, 10, {1, 2, 3}},
      {{11, 0, 12}, 10, {1, 2, 3}},
      {{0, 11}, 10, {1, 2}},
      {{1, 1, 1, 1, 1}, 2, {2, 4, 5}},
      {{5, 5}, ~uint64_t{0}, {2}},
  };
  for (const auto& test : cases) {
    const auto shards = DivideIntoShards(TensorsOf(test.bytes), test.max_bytes, "x");
    std::vector<size_t> ends;
    size_t begin = 0;
    for (const Shard& shard : shards) {
      EXPECT_EQ(shard.begin, begin);
      ends.push_back(begin = shard.end);
    }
    EXPECT_EQ(ends, test.ends) << testing::PrintToString(test.bytes);
  }
}

TEST(DivideIntoShards, NamesFilesAsHuggingFaceDoes) {
  EXPECT_EQ(DivideIntoShards(TensorsOf({1, 1}), 2, "soup")[0].file, "soup.safetensors");
  const auto shards = DivideIntoShards(TensorsOf(std::vector<int64_t>(12, 1)), 1, "soup");
  ASSERT_EQ(shards.size(), 12u);
  EXPECT_EQ(shards[0].file, "soup-00001-of-00012.safetensors");
  EXPECT_EQ(shards[11].file, "soup-00012-of-00012.safetensors");
}

TEST(ShardIndex, SaysWhereEveryTensorIs) {
  const auto tensors = TensorsOf({3, 3, 1});
  const auto shards = DivideIntoShards(tensors, 4, "soup");
  const auto index = ParseJson(ShardIndex(tensors, shards, {{"made_by", "a test"}}));
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(*index, Json::parse(R"({"metadata": {"made_by": "a test", "total_size": 7},
      "weight_map": {"t0": "soup-00001-of-00002.safetensors",
                     "t1": "soup-00002-of-00002.safetensors",
                     "t2": "soup-00002-of-00002.safetensors"}})"));
  EXPECT_EQ(*ParseJson(ShardIndex({}, {}, {})),
            Json::parse(R"({"metadata": {"total_size": 0}, "weight_map": {}})"));
}

}  // namespace
}  // namespace stockpot
