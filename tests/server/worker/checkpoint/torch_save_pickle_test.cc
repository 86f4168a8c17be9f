#include "server/worker/checkpoint/torch_save_pickle.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/zip_builder.h"

namespace stockpot {
namespace {

// What a state dict becomes when it is put into an archive and read again.
absl::StatusOr<std::shared_ptr<const StateDict>> Pickled(const StateDict& state_dict) {
  ZipBuilder archive;
  archive.Add("archive/data.pkl", StateDictPickle(state_dict.tensors()));
  for (size_t i = 0; i < state_dict.tensors().size(); ++i) {
    std::vector<char> scratch;
    const auto elements = state_dict.Read(i, &scratch);
    archive.Add(absl::StrCat("archive/data/", i), {elements->data(), elements->size()});
  }
  return OpenBytes(archive.Build());
}

TEST(StateDictPickle, KeepsNamesDTypesShapesAndBytes) {
  for (const char* fixture : {"dtypes.safetensors", "weights.safetensors", "strided.pt"}) {
    const auto original = OpenCheckpoint(Fixture(fixture), {});
    ASSERT_TRUE(original.ok()) << original.status();
    const auto pickled = Pickled(**original);
    ASSERT_TRUE(pickled.ok()) << fixture << ": " << pickled.status();
    EXPECT_EQ((*pickled)->tensors(), (*original)->tensors());
    EXPECT_EQ(SummarizeContent(**pickled)->digest, SummarizeContent(**original)->digest);
    EXPECT_TRUE((*pickled)->notes().empty());
  }
}

TEST(StateDictPickle, KeepsTensorsWithoutElementsAndNone) {
  const std::vector<TensorInfo> cases[] = {
      {},
      {{"", DType::kFloat32, {0}}},
      {{"a", DType::kBFloat16, {3, 0, int64_t{1} << 40}}, {"b", DType::kUint64, {0, 0}}},
  };
  for (const std::vector<TensorInfo>& tensors : cases) {
    ZipBuilder archive;
    archive.Add("archive/data.pkl", StateDictPickle(tensors));
    for (size_t i = 0; i < tensors.size(); ++i) {
      archive.Add(absl::StrCat("archive/data/", i), "");
    }
    const auto opened = OpenBytes(archive.Build());
    if (tensors.empty()) {  // a state dict of nothing is taken for a mistake
      EXPECT_FALSE(opened.ok());
      continue;
    }
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ((*opened)->tensors(), tensors);
  }
}

}  // namespace
}  // namespace stockpot
