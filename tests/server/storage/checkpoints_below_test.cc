#include "server/storage/checkpoints_below.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stockpot {
namespace {

using testing::ElementsAreArray;

TEST(CheckpointsBelow, AreFoundByWhatFoldersHoldAndFilesAreCalled) {
  struct Case {
    const char* what;
    std::vector<std::string> paths, found;
    bool is_one = false;
  };
  const Case cases[] = {
      {"nothing", {}, {}},
      {"files of all kinds",
       {"a.bin", "a.ckpt", "a.pt", "a.pth", "a.safetensors", "b/m.pth.tar"},
       {"a.bin", "a.ckpt", "a.pt", "a.pth", "a.safetensors", "b/m.pth.tar"}},
      {"what is none", {"README.md", "a.npz", "a.tar", "config.json", "logs/x.parquet", "pt"}, {}},
      {"an index stands for its parts",
       {"m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors", "m.safetensors.index.json"},
       {"m.safetensors.index.json"}},
      {"one part alone is whole", {"m-00001-of-00001.bin"}, {"m-00001-of-00001.bin"}},
      {"a folder is one checkpoint",
       {"config.json", "model.safetensors", "optimizer.bin", "step-5/model.safetensors"},
       {"model.safetensors"},
       true},
      {"and so is each below it",
       {"run1/model.safetensors", "run1/optimizer.pt", "run1/step-5/model.safetensors",
        "run2/pytorch_model-00001-of-00002.bin", "run2/pytorch_model.bin.index.json",
        "run3/adapter_config.json", "run3/adapter_model.safetensors"},
       {"run1/model.safetensors", "run2/pytorch_model.bin.index.json",
        "run3/adapter_model.safetensors"}},
      {"by the file that a folder is looked through for first",
       {"run/model.safetensors", "run/model.safetensors.index.json", "run/pytorch_model.bin"},
       {"run/model.safetensors"}},
      {"other files beside the folders",
       {"last.pt", "run/model.safetensors", "run0/epoch_1.pt"},
       {"last.pt", "run/model.safetensors", "run0/epoch_1.pt"}},
  };
  for (const Case& c : cases) {
    const CheckpointsBelow below = FindCheckpoints(c.paths);
    std::vector<std::string> found;
    for (const size_t file : below.files) found.push_back(c.paths[file]);
    EXPECT_THAT(found, ElementsAreArray(c.found)) << c.what;
    EXPECT_EQ(below.is_one, c.is_one) << c.what;
  }
}

}  // namespace
}  // namespace stockpot
