// torch.save files of every kind people have: the same weights come out as from safetensors.
#include "server/worker/checkpoint/torch_save_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/worker/checkpoint/checkpoint_files.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::StartsWith;

std::shared_ptr<const StateDict> Open(const std::string& name) {
  auto state_dict = OpenCheckpoint(Fixture(name), {});
  EXPECT_TRUE(state_dict.ok()) << name << ": " << state_dict.status();
  return state_dict.ok() ? *state_dict : nullptr;
}

std::string Digest(const std::string& name) {
  std::shared_ptr<const StateDict> state_dict = Open(name);
  if (state_dict == nullptr) return "";
  absl::StatusOr<ContentSummary> summary = SummarizeContent(*state_dict);
  EXPECT_TRUE(summary.ok()) << name << ": " << summary.status();
  return summary.ok() ? summary->digest : "";
}

std::string FixtureError(const std::string& name) {
  return Says(OpenCheckpoint(Fixture(name), {}).status());
}

TEST(TorchSaveReader, GivesTheBytesOfSafetensors) {
  const std::string expected = Digest("weights.safetensors");
  for (const char* name :
       {"plain.pt", "ordered_metadata.pt", "protocol4.pt", "protocol5.pt", "nested_state_dict.pt",
        "nested_model.pt", "module_prefix.pt", "parameters.pt", "strided.pt", "shared_storage.pt",
        "namespace.pt", "optimizer.pt", "malicious_beside.pt", "sparse_beside.pt",
        "cpp_pickle_save.pt", "torchscript.pt", "traced.pt", "lightning.pt", "averaged_model.pt"}) {
    EXPECT_EQ(Digest(name), expected) << name;
  }
  EXPECT_EQ(Open("plain.pt")->format(), "torch.save");
  EXPECT_EQ(Open("traced.pt")->format(), "TorchScript");
}

TEST(TorchSaveReader, ReadsEveryDType) {
  EXPECT_EQ(Digest("dtypes.pt"), Digest("dtypes.safetensors"));
  EXPECT_EQ(Open("dtypes.pt")->tensors(), Open("dtypes.safetensors")->tensors());
  EXPECT_EQ(Open("dtypes.pt")->tensors().size(), 15u);
}

TEST(TorchSaveReader, ListsTensorsByName) {
  const std::vector<TensorInfo> expected = {
      {"conv.weight", DType::kFloat32, {4, 3, 3, 3}},
      {"fc.empty", DType::kFloat32, {0, 3}},
      {"fc.weight", DType::kFloat32, {5, 6}},
      {"norm.num_batches_tracked", DType::kInt64, {}},
      {"norm.running_mean", DType::kFloat32, {4}},
      {"norm.weight", DType::kFloat32, {4}},
  };
  EXPECT_EQ(Open("shared_storage.pt")->tensors(), expected);
}

TEST(TorchSaveReader, SaysHowItGotThere) {
  EXPECT_THAT(Open("plain.pt")->notes(), ElementsAre());
  EXPECT_THAT(Open("nested_state_dict.pt")->notes(),
              ElementsAre("taken from key 'state_dict'", "ignored: 'epoch' (an int)",
                          "ignored: 'best_acc' (a tensor)"));
  EXPECT_THAT(Open("nested_model.pt")->notes(),
              ElementsAre("taken from key 'model'", "taken from key 'state_dict'",
                          "ignored: 'name' (a str)"));
  EXPECT_THAT(Open("module_prefix.pt")->notes(),
              ElementsAre("taken from key 'model'", "prefix 'module.' removed"));
  EXPECT_THAT(Open("namespace.pt")->notes(),
              Contains("ignored: 'args' (an object of argparse.Namespace)"));
  EXPECT_THAT(Open("optimizer.pt")->notes(), Contains("ignored: 'optimizer' (a dict)"));
  EXPECT_THAT(Open("lightning.pt")->notes(),
              IsSupersetOf({"a PyTorch Lightning checkpoint", "prefix 'model.' removed",
                            "ignored: 'loss.weight' (of the training, not the model)"}));
  EXPECT_THAT(Open("averaged_model.pt")->notes(),
              Contains("ignored: 'n_averaged' (of the training, not the model)"));
  EXPECT_THAT(Open("ema.pt")->notes(),
              Contains(HasSubstr("averaged weights under 'state_dict_ema'")));
}

TEST(TorchSaveReader, NeverRunsWhatAPickleAsksFor) {
  EXPECT_THAT(Open("malicious_beside.pt")->notes(),
              Contains("ignored: 'extra' (an object of posix.system)"));
  EXPECT_THAT(FixtureError("malicious.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"), HasSubstr("posix.system")));
  EXPECT_FALSE(std::filesystem::exists("stockpot-was-here"));
}

TEST(TorchSaveReader, RefusesWhatIsNoDenseTensorByName) {
  EXPECT_THAT(FixtureError("sparse.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED tensor 'sparse'"),
                    HasSubstr("_rebuild_sparse_tensor")));
  EXPECT_THAT(FixtureError("quantized.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED tensor 'q'"),
                    HasSubstr("_rebuild_qtensor")));
  EXPECT_THAT(FixtureError("complex.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED tensor 'c'"),
                    HasSubstr("ComplexFloatStorage")));
}

TEST(TorchSaveReader, SaysWhatToDoWithOtherFiles) {
  EXPECT_THAT(FixtureError("legacy.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"),
                    HasSubstr("before PyTorch 1.6"), HasSubstr("python -c")));
  EXPECT_THAT(FixtureError("legacy.tar"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"), HasSubstr("python -c")));
  EXPECT_THAT(FixtureError("frozen.pt"),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr("frozen")));
  EXPECT_THAT(FixtureError("packed.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED key '1._packed_params'"),
                    HasSubstr("quantised")));
  EXPECT_THAT(FixtureError("whole_module.pt"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"),
                    HasSubstr("torch.nn.modules.linear.Linear"), HasSubstr("state_dict()")));
  EXPECT_THAT(FixtureError("no_tensors.pt"),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr("'epoch'")));
}

TEST(OpenCheckpoint, TellsWhatIsNoCheckpoint) {
  EXPECT_THAT(FixtureError("absent.pt"), StartsWith("NOT_FOUND CHECKPOINT_NOT_FOUND"));
  EXPECT_THAT(Says(OpenCheckpoint("tests", {}).status()),
              StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"));
  EXPECT_THAT(Says(OpenBytes("").status()), StartsWith("DATA_LOSS CHECKPOINT_TRUNCATED"));
  EXPECT_THAT(Says(OpenBytes("just some text, nothing else").status()),
              StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID not a checkpoint"));
}

}  // namespace
}  // namespace stockpot
