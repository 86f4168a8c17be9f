#include "server/worker/evaluation/logits_cache.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr absl::string_view kMagic = "SPLOGIT1";
constexpr size_t kHexDigest = 64;
constexpr size_t kNumbersAt = 8 + kHexDigest;
constexpr size_t kSumAt = kNumbersAt + 3 * sizeof(uint64_t);
constexpr size_t kValuesAt = 4096;

std::string EncodeNumber(uint64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

uint64_t DecodeNumber(absl::string_view bytes) {
  uint64_t value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string EncodeHeader(const std::string& digest, uint64_t examples, uint64_t classes,
                         absl::string_view values) {
  std::string header = absl::StrCat(kMagic, digest, EncodeNumber(examples), EncodeNumber(classes),
                                    EncodeNumber(Crc32c(values)));
  absl::StrAppend(&header, Sha256Hex(header));
  return header;
}

std::string NameOf(const std::string& digest) { return absl::StrCat(digest, ".logits"); }

// Nothing when they cannot be believed.
KeptLogits Parse(std::shared_ptr<const MappedFile> file, const std::string& digest,
                 uint64_t examples) {
  const absl::string_view bytes = file->bytes();
  if (bytes.size() <= kValuesAt || !absl::StartsWith(bytes, absl::StrCat(kMagic, digest)) ||
      bytes.substr(kSumAt, kHexDigest) != Sha256Hex(bytes.substr(0, kSumAt))) {
    return {};
  }
  // The sum shows that we wrote these numbers, so that their product cannot overflow.
  const uint64_t classes = DecodeNumber(bytes.substr(kNumbersAt + 8));
  const absl::string_view values = bytes.substr(kValuesAt);
  if (DecodeNumber(bytes.substr(kNumbersAt)) != examples ||
      values.size() != examples * classes * sizeof(float) ||
      DecodeNumber(bytes.substr(kNumbersAt + 16)) != Crc32c(values)) {
    return {};
  }
  return {std::move(file),
          static_cast<int64_t>(classes),
          {reinterpret_cast<const float*>(values.data()), values.size() / sizeof(float)}};
}

}  // namespace

absl::StatusOr<LogitsCache> LogitsCache::Create(const std::string& folder, uint64_t max_bytes,
                                                const FailPoints* fail_points, bool sync) {
  ASSIGN_OR_RETURN(CacheFolder opened, CacheFolder::Create(folder, fail_points));
  return LogitsCache(std::move(opened), max_bytes, sync);
}

absl::StatusOr<KeptLogits> LogitsCache::Open(const std::string& key, int64_t examples) const {
  const std::string digest = Sha256Hex(key), name = NameOf(digest);
  auto file = MappedFile::Open(folder_.PathOf(name));
  KeptLogits kept;
  if (file.ok()) kept = Parse(*std::move(file), digest, static_cast<uint64_t>(examples));
  if (kept.file == nullptr) return absl::NotFoundError("no logits are kept");
  folder_.Touch(name);
  return kept;
}

absl::StatusOr<KeptLogits> LogitsCache::Keep(const std::string& key, int64_t classes,
                                             absl::Span<const float> values) const {
  const std::string digest = Sha256Hex(key), name = NameOf(digest);
  const absl::string_view bytes(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float));
  const auto width = static_cast<uint64_t>(classes);
  KeptLogits kept;
  {
    ASSIGN_OR_RETURN(const CacheFolder::BuildLock lock, folder_.LockForBuild(name));
    ASSIGN_OR_RETURN(CacheFolder::PartialFile file,
                     folder_.CreatePartial(name, kValuesAt + bytes.size()));
    RETURN_IF_ERROR(file.WriteAt(EncodeHeader(digest, values.size() / width, width, bytes), 0));
    RETURN_IF_ERROR(file.WriteAt(bytes, kValuesAt));
    // Mapped before it has a name under which others may evict it.
    ASSIGN_OR_RETURN(auto mapped, MappedFile::Open(file.path()));
    RETURN_IF_ERROR(file.Commit(sync_));
    kept = Parse(std::move(mapped), digest, values.size() / width);
  }
  folder_.Evict(max_bytes_, name);
  if (kept.file == nullptr) return absl::DataLossError("kept logits do not read as written");
  return kept;
}

}  // namespace stockpot
