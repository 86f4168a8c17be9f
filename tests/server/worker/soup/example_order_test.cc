#include "server/worker/soup/example_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace stockpot {
namespace {

using testing::ElementsAre;

// From a Python program that follows the header.
TEST(ExampleOrder, IsWhatTheHeaderSays) {
  EXPECT_THAT(ExampleOrder(10, 7, 0), ElementsAre(0, 7, 4, 9, 3, 1, 2, 8, 6, 5));
  EXPECT_THAT(ExampleOrder(10, 7, 1), ElementsAre(2, 7, 0, 3, 8, 9, 1, 5, 6, 4));
  EXPECT_THAT(ExampleOrder(10, UINT64_MAX, 3), ElementsAre(6, 5, 9, 1, 7, 2, 0, 4, 3, 8));
}

TEST(ExampleOrder, HasEveryExampleOnce) {
  for (const int64_t count : {0, 1, 2, 1000}) {
    std::vector<int64_t> order = ExampleOrder(count, 3, 4);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(static_cast<int64_t>(order.size()), count);
    for (int64_t i = 0; i < count; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  }
}

}  // namespace
}  // namespace stockpot
