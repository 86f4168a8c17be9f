#include "server/base/blockwise_digest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stockpot {
namespace {

std::string Field(size_t size) {
  std::string field(size, '\0');
  for (size_t i = 0; i < size; ++i) field[i] = static_cast<char>(i * i % 251);
  return field;
}

// As the header says it.
std::string Defined(const std::string& field) {
  Sha256 digest;
  digest.UpdateFieldSize(field.size());
  if (field.size() <= kDigestBlock) return digest.Update(field).Finish();
  for (size_t at = 0; at < field.size(); at += kDigestBlock) {
    digest.Update(Sha256Bytes(field.substr(at, kDigestBlock)));
  }
  return digest.Finish();
}

TEST(BlockwiseDigest, IsTheSameWholeAndInPartsOfAnySize) {
  for (const size_t size : {size_t{0}, size_t{1}, kDigestBlock - 1, kDigestBlock, kDigestBlock + 1,
                            2 * kDigestBlock, 3 * kDigestBlock + 17}) {
    const std::string field = Field(size);
    const std::string expected = Defined(field);
    Sha256 whole;
    UpdateFieldInParallel(field, &whole);
    EXPECT_EQ(whole.Finish(), expected) << size;
    for (const size_t part : {size_t{70'001}, kDigestBlock, 2 * kDigestBlock + 3}) {
      Sha256 digest;
      BlockwiseField parts(size, &digest);
      for (size_t at = 0; at < size; at += part) {
        parts.Update(absl::string_view(field).substr(at, part), &digest);
      }
      EXPECT_EQ(digest.Finish(), expected) << size << " in parts of " << part;
    }
  }
}

TEST(BlockwiseDigest, EveryByteCounts) {
  std::string field = Field(2 * kDigestBlock + 9);
  const std::string before = Defined(field);
  for (const size_t at : {size_t{0}, kDigestBlock, field.size() - 1}) {
    ++field[at];
    Sha256 digest;
    UpdateFieldInParallel(field, &digest);
    EXPECT_NE(digest.Finish(), before) << at;
    --field[at];
  }
}

}  // namespace
}  // namespace stockpot
