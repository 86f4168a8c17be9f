#include "server/worker/dataset/digest_cache.h"

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// "" when the cache has none that can be believed.
std::string ReadCachedDigest(const std::string& path, const std::string& key) {
  const absl::StatusOr<std::string> content = ReadSmallFile(path, 1000);
  if (!content.ok() || content->size() < 64) return "";
  const std::string digest = content->substr(0, 64);
  return *content == absl::StrCat(digest, " ", Sha256Hex(key + digest)) ? digest : "";
}

}  // namespace

absl::StatusOr<std::string> OpenOrMakeDigest(
    const CacheFolder& cache, const std::string& key, const DataSetLimits& limits,
    const std::function<absl::StatusOr<std::string>()>& make) {
  const std::string name = key + ".digest", path = cache.PathOf(name);
  std::string digest = ReadCachedDigest(path, key);
  if (!digest.empty()) {
    cache.Touch(name);
    return digest;
  }
  {
    ASSIGN_OR_RETURN(const CacheFolder::BuildLock lock, cache.LockForBuild(name));
    digest = ReadCachedDigest(path, key);  // somebody may have made it while we waited
    if (!digest.empty()) return digest;
    ASSIGN_OR_RETURN(digest, make());
    RETURN_IF_ERROR(Annotate(
        WriteFileDurably(path, absl::StrCat(digest, " ", Sha256Hex(key + digest))), "data cache"));
  }
  cache.Evict(limits.max_cache_bytes, name);
  return digest;
}

}  // namespace stockpot
