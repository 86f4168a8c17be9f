// Images that are decoded each time they are read, for what is larger than the cache may be: a pass
// decodes ahead on all cores while the model runs, into DataSetLimits::max_ahead_bytes, and nothing
// is written but the digest. Memory: these, a batch, and what decoding an image takes on each core.
//
// Why no model runs in the first pass, which is for the digest: a measure's key holds the digest,
// so that whoever measured meanwhile would hold a result that has no key yet, and the server would
// need tasks that give facts of other tasks. It is one pass of the 2k - 1 that a greedy soup of k
// models takes, once for a set and a cache folder; other workers read checkpoints meanwhile. A
// digest of the encoded bytes, the geometry and the decoder's version would not do: it still reads
// all of them, and the same examples would be other facts than those of a host whose cache is
// larger, or of another format.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_STREAMED_IMAGES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_STREAMED_IMAGES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/image_loader.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

// Of images that are all of this `size`. `key` is their ImageCacheKey. The digest is that of the
// same images in the cache; unless it is known it takes a pass, whose images `progress` counts.
// Errors: as OpenDataSet. Thread safety: what DataSet::Bring says.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenStreamedImages(
    ListedImages images, const DataSetSource& source, const PixelSize& size, const std::string& key,
    const CacheFolder& cache, const DataSetLimits& limits, const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_STREAMED_IMAGES_H_
