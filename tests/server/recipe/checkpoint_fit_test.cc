// What is said of a checkpoint that does not fit, and what to do about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/recipe/task.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

TEST(CheckFits, SaysWhatDoesNotFitAndWhatToDo) {
  const std::vector<TensorSignature> expected = {
      {"blocks.weight", "F32", {4, 4}}, {"embed.weight", "F32", {10, 4}}, {"mask", "BOOL", {4}}};
  ArchitectureFound architecture;
  architecture.tensors = expected;
  architecture.buffers = {"mask"};
  CheckpointFound first;
  first.tensors = {expected[0], expected[1]};
  const struct {
    std::vector<TensorSignature> tensors;
    std::vector<std::string> says;  // none: it fits
  } cases[] = {
      {{expected[0], expected[1]}, {}},
      {{expected[0]}, {"'embed.weight' is missing; the architecture has it as F32 [10, 4]"}},
      {{expected[0], {"model.embed.weight", "F32", {10, 4}}},
       {"'embed.weight' is missing", "has a 'model.embed.weight'", "model.tensor_renames"}},
      {{{"weight", "F32", {4, 4}}, expected[1]}, {"'blocks.weight' is missing", "has a 'weight'"}},
      {{{"blocks.weight", "F32", {4, 5}}, expected[1]},
       {"'blocks.weight': F32 [4, 5], but the architecture expects F32 [4, 4]"}},
      {{expected[0], {"embed.weight", "F32", {12, 4}}},
       {"F32 [12, 4], but the architecture expects F32 [10, 4]", "vocabularies of different size"}},
      {{expected[0], expected[1], {"embed.position_ids", "I64", {8}}},
       {"'embed.position_ids' is not in the architecture", "model.excluded_tensors"}},
      {{{"blocks.weight", "F16", {4, 4}}, expected[1]},
       {"'blocks.weight': F16 [4, 4], but the first ingredient has F32 [4, 4]"}},
      {expected, {"'mask' is not in the first ingredient"}},
  };
  for (const auto& c : cases) {
    CheckpointFound found;
    found.tensors = c.tensors;
    const absl::Status status = CheckFits(found, architecture, &first, {});
    EXPECT_EQ(status.ok(), c.says.empty()) << status;
    for (const std::string& text : c.says) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(text));
      EXPECT_EQ(GetErrorFacts(status).reason, "CHECKPOINT_MISMATCH");
    }
  }
}

}  // namespace
}  // namespace stockpot
