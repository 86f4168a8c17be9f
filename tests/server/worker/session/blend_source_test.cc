#include "server/worker/session/blend_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/worker/session/worker_tasks.h"

namespace stockpot {
namespace {

class BlendSourceTest : public testing::Test {
 protected:
  BlendSourceTest() {
    Sources::Options options;
    options.cache_folder = sweep_ / "cache";
    auto allowed = AllowList::Create({sweep_.folder().path()}, {});
    EXPECT_TRUE(allowed.ok()) << allowed.status();
    sources_ = std::make_unique<Sources>(options, *std::move(allowed), nullptr);
  }

  std::vector<std::shared_ptr<const StateDict>> Open(const std::vector<std::string>& excluded,
                                                     const std::vector<std::string>& from_base) {
    worker::v1::Blend blend;
    for (const char* name : {"good_0.safetensors", "good_1.safetensors"}) {
      blend.add_ingredients()->set_uri(sweep_ / name);
    }
    for (const std::string& pattern : excluded) blend.mutable_selection()->add_excluded(pattern);
    for (const std::string& pattern : from_base) blend.mutable_selection()->add_from_base(pattern);
    if (!from_base.empty()) {
      blend.mutable_selection()->mutable_base()->set_uri(sweep_ / "good_2.safetensors");
    }
    auto opened = OpenBlend(blend, sources_.get(), Unwatched);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? opened->ingredients : std::vector<std::shared_ptr<const StateDict>>();
  }

  TinySweep sweep_;
  std::unique_ptr<Sources> sources_;
};

// What is kept of an ingredient (its sum, its tensors on a card) is known by its address.
TEST_F(BlendSourceTest, AnIngredientIsTheSameObjectFromTaskToTask) {
  const auto whole = Open({}, {}), part = Open({"*bias"}, {}), mixed = Open({}, {"*bias"});
  EXPECT_EQ(Open({}, {}), whole);
  EXPECT_EQ(Open({"*bias"}, {}), part);
  EXPECT_EQ(Open({}, {"*bias"}), mixed);
  EXPECT_THAT(part, testing::Not(testing::Contains(whole[0])));
  EXPECT_NE(part, mixed);
  EXPECT_EQ(part[0]->tensors().size() + 1, whole[0]->tensors().size());
  EXPECT_EQ(mixed[0]->tensors().size(), whole[0]->tensors().size());
}

}  // namespace
}  // namespace stockpot
