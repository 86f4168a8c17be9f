#include "server/worker/evaluation/resident_tensors.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace stockpot {
namespace {

ResidentTensors::Tensors Floats(int64_t count) { return {torch::zeros({count})}; }

bool Put(ResidentTensors* resident, const std::string& key, int64_t floats) {
  if (!resident->MakeRoom(static_cast<size_t>(floats) * 4)) return false;
  resident->Keep(key, Floats(floats));
  return true;
}

TEST(ResidentTensors, TheLeastRecentlyUsedGoFirst) {
  ResidentTensors resident(100 * 4);
  EXPECT_TRUE(Put(&resident, "a", 40));
  EXPECT_TRUE(Put(&resident, "b", 40));
  EXPECT_NE(resident.Find("a"), nullptr);
  EXPECT_TRUE(Put(&resident, "c", 60)) << "beside a";
  EXPECT_EQ(resident.Find("b"), nullptr);
  ASSERT_NE(resident.Find("a"), nullptr);
  EXPECT_EQ(resident.Find("c")->front().numel(), 60);
}

TEST(ResidentTensors, WhatIsLargerThanAllRoomIsNotKeptAndMovesNobody) {
  ResidentTensors resident(100 * 4);
  EXPECT_TRUE(Put(&resident, "a", 100));
  EXPECT_FALSE(Put(&resident, "b", 101));
  EXPECT_NE(resident.Find("a"), nullptr);
}

TEST(ResidentTensors, KeepsWhatAKeyStandsForUntilTheTensorsGo) {
  ResidentTensors resident(100 * 4);
  auto owner = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owner;
  ASSERT_TRUE(resident.MakeRoom(80 * 4));
  resident.Keep("a", Floats(80), std::move(owner));
  EXPECT_FALSE(watched.expired());
  EXPECT_TRUE(resident.MakeRoom(40 * 4));
  EXPECT_TRUE(watched.expired());
}

TEST(ResidentTensors, OnceGivenUpItKeepsNothing) {
  ResidentTensors resident(100 * 4);
  EXPECT_FALSE(ResidentTensors(0).MakeRoom(4));
  EXPECT_TRUE(Put(&resident, "a", 40));
  resident.GiveUp();
  EXPECT_EQ(resident.Find("a"), nullptr);
  EXPECT_FALSE(Put(&resident, "a", 40));
}

}  // namespace
}  // namespace stockpot
