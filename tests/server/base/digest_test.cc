#include "server/base/digest.h"

#include <gtest/gtest.h>

namespace stockpot {
namespace {

TEST(Sha256, AgreesWithTheStandardsExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, PartsAreOneText) {
  EXPECT_EQ(Sha256().Update("a").Update("bc").Finish(), Sha256Hex("abc"));
}

TEST(Sha256, FieldsHaveOneReading) {
  EXPECT_NE(Sha256().UpdateField("ab").UpdateField("c").Finish(),
            Sha256().UpdateField("a").UpdateField("bc").Finish());
}

}  // namespace
}  // namespace stockpot
