#include "server/base/blockwise_digest.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/base/parallel.h"

namespace stockpot {

size_t DigestBlocksOf(size_t field_size) {
  return field_size <= kDigestBlock ? 0 : (field_size + kDigestBlock - 1) / kDigestBlock;
}

absl::string_view DigestBlock(absl::string_view field, size_t index) {
  return field.substr(index * kDigestBlock, kDigestBlock);
}

BlockwiseField::BlockwiseField(uint64_t size, Sha256* digest)
    : left_(size), in_blocks_(size > kDigestBlock) {
  digest->UpdateFieldSize(size);
}

void BlockwiseField::Update(absl::string_view bytes, Sha256* digest) {
  left_ -= bytes.size();
  if (!in_blocks_) {
    digest->Update(bytes);
    return;
  }
  while (!bytes.empty()) {
    const absl::string_view part = bytes.substr(0, kDigestBlock - filled_);
    block_.Update(part);
    filled_ += part.size();
    bytes.remove_prefix(part.size());
    if (filled_ == kDigestBlock) EndBlock(digest);
  }
  if (left_ == 0 && filled_ > 0) EndBlock(digest);
}

void BlockwiseField::EndBlock(Sha256* digest) {
  digest->Update(std::exchange(block_, Sha256()).FinishAsBytes());
  filled_ = 0;
}

void UpdateField(absl::string_view field, const std::vector<std::string>& sums, Sha256* digest) {
  digest->UpdateFieldSize(field.size());
  if (sums.empty()) digest->Update(field);
  for (const std::string& sum : sums) digest->Update(sum);
}

void UpdateFieldInParallel(absl::string_view field, Sha256* digest) {
  std::vector<std::string> sums(DigestBlocksOf(field.size()));
  const auto sum = [&](size_t i) {
    sums[i] = Sha256Bytes(DigestBlock(field, i));
    return absl::OkStatus();
  };
  if (!ForEachInParallel(sums.size(), sum).ok()) {  // no thread could be had
    for (size_t i = 0; i < sums.size(); ++i) sum(i).IgnoreError();
  }
  UpdateField(field, sums, digest);
}

}  // namespace stockpot
