// A long field of a digest that many cores can sum: SHA-256 alone runs on one.
//
// A field of at most kDigestBlock bytes is summed as it is. Of a longer one the SHA-256 of every
// block of kDigestBlock bytes is (32 bytes each, the last block may be shorter), in their order.
// The length comes first, as with Sha256::UpdateField, so that the two cannot be taken for each
// other.
#ifndef STOCKPOT_SERVER_BASE_BLOCKWISE_DIGEST_H_
#define STOCKPOT_SERVER_BASE_BLOCKWISE_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/digest.h"

namespace stockpot {

inline constexpr size_t kDigestBlock = size_t{1} << 20;

// Blocks that are summed by themselves: none of a short field.
size_t DigestBlocksOf(size_t field_size);
absl::string_view DigestBlock(absl::string_view field, size_t index);

// A field that comes in parts, of `size` bytes in all, into one digest that nothing else is added
// to meanwhile. Thread safety: thread-compatible.
class BlockwiseField {
 public:
  BlockwiseField(uint64_t size, Sha256* digest);
  void Update(absl::string_view bytes, Sha256* digest);

 private:
  void EndBlock(Sha256* digest);

  uint64_t left_;
  bool in_blocks_;
  Sha256 block_;
  size_t filled_ = 0;  // bytes of the block that has begun
};

// A whole field whose blocks were summed already: DigestBlocksOf sums, as bytes.
void UpdateField(absl::string_view field, const std::vector<std::string>& sums, Sha256* digest);

// A whole field, on every core.
void UpdateFieldInParallel(absl::string_view field, Sha256* digest);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_BLOCKWISE_DIGEST_H_
