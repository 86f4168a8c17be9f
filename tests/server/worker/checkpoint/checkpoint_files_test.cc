// Checkpoints of several files, folders, and what is refused because its mean would be wrong.
#include "server/worker/checkpoint/checkpoint_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/worker/checkpoint/averageable.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/write_tensors.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<std::shared_ptr<const StateDict>> OpenFolder(const std::string& path) {
  return OpenLocalCheckpoint(path, nullptr, {});
}

std::vector<std::string> Names(const StateDict& state_dict) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : state_dict.tensors()) names.push_back(tensor.name);
  return names;
}

std::string DigestOf(const absl::StatusOr<std::shared_ptr<const StateDict>>& state_dict) {
  return state_dict.ok() ? SummarizeContent(**state_dict)->digest : Says(state_dict.status());
}

constexpr char kIndex[] = "/model.safetensors.index.json";

class CheckpointFilesTest : public testing::Test {
 protected:
  // Two files with a tensor each, and their index.
  void WriteShards() {
    WriteTensors(folder_ / "model-00001-of-00002.safetensors", {{"a.weight", {2}, {1, 2}}});
    WriteTensors(folder_ / "model-00002-of-00002.safetensors", {{"b.weight", {1}, {3}}});
    WriteIndex(R"({"a.weight": "model-00001-of-00002.safetensors",
                   "b.weight": "model-00002-of-00002.safetensors"})");
  }
  void WriteIndex(const std::string& weight_map) {
    WriteBytes(path() + kIndex,
               R"({"metadata": {"total_size": 12}, "weight_map": )" + weight_map + "}");
  }
  std::string path() const { return folder_.path(); }
  std::string Error(const std::string& file = "") {
    return Says(OpenFolder(path() + file).status());
  }

  const TemporaryFolder folder_;
};

TEST_F(CheckpointFilesTest, ShardsAreOneCheckpoint) {
  WriteShards();
  WriteTensors(folder_ / "whole", {{"a.weight", {2}, {1, 2}}, {"b.weight", {1}, {3}}});
  const std::string expected = DigestOf(OpenFolder(folder_ / "whole"));
  EXPECT_EQ(DigestOf(OpenFolder(path())), expected);
  EXPECT_EQ(DigestOf(OpenFolder(path() + kIndex)), expected);
  const auto opened = *OpenFolder(path());
  EXPECT_EQ(opened->format(), "sharded safetensors");
  EXPECT_THAT(opened->notes(), ElementsAre("joined from 2 files"));
}

TEST_F(CheckpointFilesTest, AWrappersPrefixIsTakenOffAllShards) {
  WriteTensors(folder_ / "one.safetensors", {{"module.a", {1}, {1}}});
  WriteTensors(folder_ / "two.safetensors", {{"module.b", {1}, {2}}});
  WriteIndex(R"({"module.a": "one.safetensors", "module.b": "two.safetensors"})");
  EXPECT_THAT(Names(**OpenFolder(path())), ElementsAre("a", "b"));
  WriteTensors(folder_ / "two.safetensors", {{"other.b", {1}, {2}}});
  WriteIndex(R"({"module.a": "one.safetensors", "other.b": "two.safetensors"})");
  EXPECT_THAT(Names(**OpenFolder(path())), ElementsAre("module.a", "other.b"));
}

TEST_F(CheckpointFilesTest, AnIndexThatIsNotBelievedSaysWhy) {
  WriteShards();
  const struct {
    const char *weight_map, *error;
  } cases[] = {
      {R"({"a.weight": "../model.safetensors"})", "not the name of a file beside the index"},
      {R"({"a.weight": "/etc/passwd"})", "not the name of a file beside the index"},
      {R"({"a.weight": "a\u0000b"})", "not the name of a file beside the index"},
      {R"({"a.weight": ".."})", "not the name of a file beside the index"},
      {R"({"a.weight": "model.safetensors.index.json"})",
       "not the name of a file beside the index"},
      {R"({"a.weight": 3})", "not the name of a file beside the index"},
      {R"({"a.weight": "https://host/model.safetensors"})", "not the name of a file"},
      {R"({})", "no weight_map"},
      {R"([])", "no weight_map"},
      {R"({"a.weight": "model-00001-of-00002.safetensors",
           "c.weight": "model-00001-of-00002.safetensors"})",
       "tensor 'c.weight': is not in model-00001-of-00002.safetensors"},
      {R"({"a.weight": "model-00002-of-00002.safetensors",
           "b.weight": "model-00002-of-00002.safetensors"})",
       "tensor 'a.weight': is not in model-00002-of-00002.safetensors"},
      {R"({"b.weight": "model-00001-of-00002.safetensors"})", "where the index has it not"},
  };
  for (const auto& [weight_map, error] : cases) {
    WriteIndex(weight_map);
    EXPECT_THAT(Error(), AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr(error)))
        << weight_map;
  }
  WriteBytes(path() + kIndex, "{");
  EXPECT_THAT(Error(), StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID the index"));
  WriteIndex(R"({"a.weight": "absent.safetensors"})");
  EXPECT_THAT(Error(), StartsWith("NOT_FOUND CHECKPOINT_NOT_FOUND file absent.safetensors"));
}

TEST_F(CheckpointFilesTest, AFolderWithoutACheckpointSaysWhatWasLookedFor) {
  EXPECT_THAT(Error(), AllOf(StartsWith("NOT_FOUND CHECKPOINT_NOT_FOUND"),
                             HasSubstr("model.safetensors.index.json")));
}

TEST_F(CheckpointFilesTest, OneFileOfSeveralIsRefused) {
  WriteShards();
  EXPECT_THAT(Error("/model-00001-of-00002.safetensors"), HasSubstr("one file of several"));
  WriteTensors(folder_ / "model-00001-of-00001.safetensors", {{"a", {1}, {1}}});
  EXPECT_TRUE(OpenFolder(folder_ / "model-00001-of-00001.safetensors").ok());
}

TEST_F(CheckpointFilesTest, WhatCannotBeAveragedIsRefusedByName) {
  for (const char* name : {"h.0.qweight", "h.0.qzeros", "h.0.SCB", "h.0.weight.absmax",
                           "h.0.weight.quant_map", "h.0.weight_packed", "h.0.weight_scale",
                           "h.0.weight_scale_inv", "q.lora_A.weight", "q.lora_embedding_B"}) {
    WriteTensors(folder_ / "file", {{name, {1, 1}, {1}}, {"norm.weight", {1}, {1}}});
    EXPECT_THAT(Error("/file"),
                StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED tensor '" + std::string(name)));
  }
  EXPECT_THAT(Says(OpenFolder(Fixture("weights.safetensors")).status()), StartsWith("OK"));
  EXPECT_THAT(Says(CheckAverageable({{"mlp.experts.down_proj_blocks", DType::kUint8, {4, 8, 16}}})),
              HasSubstr("MXFP4"));
  for (const TensorInfo& buffer : {TensorInfo{"h.0.attn.bias", DType::kUint8, {1, 1, 8, 8}},
                                   TensorInfo{"relative_position_index", DType::kInt64, {49, 49}},
                                   TensorInfo{"num_blocks", DType::kUint8, {}}}) {
    EXPECT_TRUE(CheckAverageable({buffer}).ok()) << buffer.name;
  }
}

TEST_F(CheckpointFilesTest, TensorsGetTheNamesOfTheRules) {
  WriteTensors(folder_ / "file", {{"z.a", {1}, {1}}, {"y.b", {1}, {2}}});
  const CheckpointFiles files = *FindLocalCheckpoint(folder_ / "file", {});
  const auto renamed = OpenCheckpointFiles(files, {"", {{"z.*", "b.*"}, {"y.*", "a.*"}}}, {});
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_THAT(Names(**renamed), ElementsAre("a.b", "b.a"));
  EXPECT_THAT((*renamed)->notes(), Contains("renamed by the job's rules"));
  std::vector<char> scratch;
  float number = 0;
  std::memcpy(&number, (*renamed)->Read(0, &scratch)->data(), sizeof number);
  EXPECT_EQ(number, 2);
  EXPECT_THAT(Says(OpenCheckpointFiles(files, {"", {{"*", "same"}}}, {}).status()),
              StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID tensor 'same': is named twice"));
}

TEST_F(CheckpointFilesTest, AKeyOfTheJobSaysWhereTheWeightsAre) {
  const CheckpointFiles files = *FindLocalCheckpoint(Fixture("ema.pt"), {});
  EXPECT_EQ(DigestOf(OpenCheckpointFiles(files, {"state_dict_ema", {}}, {})),
            DigestOf(OpenFolder(Fixture("weights.safetensors"))));
  EXPECT_NE(DigestOf(OpenFolder(Fixture("ema.pt"))),
            DigestOf(OpenFolder(Fixture("weights.safetensors"))));
  EXPECT_THAT(Says(OpenCheckpointFiles(files, {"absent", {}}, {}).status()),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr("'absent'"),
                    HasSubstr("'state_dict_ema'")));
}

}  // namespace
}  // namespace stockpot
