// The memory-mapped file of decoded images, and how it is built.
//
// Format of NAME.images (integers little-endian; a new layout gets a new magic):
//   0     8 bytes   "SPIMAGE1"
//   8     64        the key: SHA-256, in hexadecimal, of what the content depends on
//   72    64        content digest of the data set (content_digest.h), hexadecimal
//   136   3 × 8     uint64 examples, height, width
//   160   64        SHA-256 of bytes 0 to 159, hexadecimal
//   224             zeros up to 4096
//   4096            examples × 3 × height × width bytes: uint8 [examples, 3, height, width]
// The file ends there. One whose size, key or header sum is wrong is not believed; the pixels are
// not summed again at every open.
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_CACHE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_CACHE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/mapped_file.h"
#include "server/base/progress.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/image_loader.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

// What the decoded content depends on, as a digest: the source, which of its examples and under
// which labels and weights, geometry, the input's name and this format.
std::string ImageCacheKey(const ListedImages& images, const DataSetSource& source);

// How large the file is.
uint64_t CachedImageBytes(size_t examples, const PixelSize& size);

struct CachedImages {
  std::shared_ptr<const MappedFile> file;
  InputInfo input;
  std::string digest;

  const char* examples() const;
};

// The finished file `path`, when there is one for `key` and `examples` that can be believed.
absl::StatusOr<CachedImages> OpenCachedImages(const std::string& path, const std::string& key,
                                              size_t examples, const std::string& input_name);

// Decodes `images` on all cores into `name` of the cache.
// Errors: as OpenDataSet; of several images at fault the first is named; what `progress` gave.
absl::Status BuildCachedImages(const ListedImages& images, const DataSetSource& source,
                               const DataSetLimits& limits, const std::string& key,
                               const CacheFolder& cache, const std::string& name,
                               const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_CACHE_H_
