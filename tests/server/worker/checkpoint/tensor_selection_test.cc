#include "server/worker/checkpoint/tensor_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Tensors of one byte each, all the same.
std::shared_ptr<const StateDict> Named(const std::vector<std::string>& names, char content) {
  std::vector<TensorValue> tensors;
  for (const std::string& name : names) {
    TensorValue tensor;
    tensor.info.name = name;
    tensor.info.dtype = DType::kUint8;
    tensor.info.shape = {1};
    tensor.bytes = {content};
    tensors.push_back(std::move(tensor));
  }
  return MakeStateDict(std::move(tensors));
}

// "name=content" of each, with ! when it is fixed.
std::vector<std::string> Describe(const StateDict& state_dict) {
  std::vector<std::string> said;
  for (size_t i = 0; i < state_dict.tensors().size(); ++i) {
    std::vector<char> scratch;
    const auto bytes = state_dict.Read(i, &scratch);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    said.push_back(state_dict.tensors()[i].name + "=" + std::string(bytes->begin(), bytes->end()) +
                   (state_dict.IsFixed(i) ? "!" : ""));
  }
  return said;
}

TEST(TensorSelection, LeavesOutWhatIsExcluded) {
  const auto view =
      SelectTensors(Named({"body", "head.bias", "head.weight"}, 'i'), {{"head.*"}, {}, nullptr});
  EXPECT_THAT(Describe(*view), ElementsAre("body=i"));
}

TEST(TensorSelection, TakesFromTheBaseWhateverTheIngredientHolds) {
  const TensorSelection selection{{}, {"head*"}, Named({"body", "head.bias", "head.weight"}, 'b')};
  ASSERT_TRUE(CheckSelection(selection).ok());
  for (const std::vector<std::string>& held :
       {std::vector<std::string>{"body"}, {"body", "head.weight"}, {"body", "head.other"}}) {
    EXPECT_THAT(Describe(*SelectTensors(Named(held, 'i'), selection)),
                ElementsAre("body=i", "head.bias=b!", "head.weight=b!"));
  }
}

TEST(TensorSelection, ExcludedComesBeforeFromBase) {
  const TensorSelection selection{{"*.bias"}, {"head.*"}, Named({"head.bias", "head.weight"}, 'b')};
  EXPECT_THAT(Describe(*SelectTensors(Named({"body.bias", "head.bias"}, 'i'), selection)),
              ElementsAre("head.weight=b!"));
}

TEST(TensorSelection, NothingSelectedIsTheStateDictItself) {
  const auto all = Named({"a"}, 'i');
  EXPECT_EQ(SelectTensors(all, {}), all);
}

TEST(TensorSelection, WhatTheBaseDoesNotHaveIsAnError) {
  const TensorSelection without{{}, {"head.*"}, nullptr};
  EXPECT_EQ(CheckSelection(without).code(), absl::StatusCode::kInvalidArgument);
  const TensorSelection misses{{}, {"body", "head.*"}, Named({"body"}, 'b')};
  const absl::Status status = CheckSelection(misses);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'head.*'"));
  EXPECT_TRUE(CheckSelection({{"none*"}, {}, nullptr}).ok());
}

TEST(OverlayTensors, HidesAndAdds) {
  const auto view = OverlayTensors(Named({"b", "c"}, 'u'), Named({"a", "c"}, 'o'));
  EXPECT_THAT(Describe(*view), ElementsAre("a=o!", "b=u", "c=o!"));
}

TEST(OverlayTensors, WhatIsFixedBelowStaysSo) {
  const auto below = SelectTensors(Named({"b"}, 'u'), {{}, {"a"}, Named({"a"}, 'f')});
  EXPECT_THAT(Describe(*OverlayTensors(below, Named({"c"}, 'o'))),
              ElementsAre("a=f!", "b=u", "c=o!"));
}

}  // namespace
}  // namespace stockpot
