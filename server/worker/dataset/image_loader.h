// From an example's encoded bytes to the pixels that a data set has of it.
// Thread safety: immutable. The images must outlive it.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_LOADER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/worker/dataset/image.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

// Of every image of a data set, once its geometry is applied.
struct PixelSize {
  uint64_t height = 0, width = 0;

  uint64_t byte_count() const { return Image::kChannels * height * width; }
};

// uint8 [3, height, width].
InputInfo DescribeImages(const std::string& name, const PixelSize& size);

class ImageLoader {
 public:
  ImageLoader(const ListedImages& images, const ImageGeometry& geometry,
              const DataSetLimits& limits)
      : images_(images), geometry_(geometry), limits_(limits) {}

  // The first image tells the size that all must have. Errors: as Load.
  absl::StatusOr<PixelSize> FindSize() const;

  // Writes image `i` as planes, one a channel: size.byte_count() bytes. Errors, naming the image:
  // IMAGE_UNREADABLE, or DATA_SET_INVALID, another size or a geometry that it is too small for.
  absl::Status Load(size_t i, const PixelSize& size, char* planes) const;

 private:
  absl::StatusOr<Image> Decode(size_t i) const;
  absl::StatusOr<Image> DecodeUnnamed(size_t i) const;

  const ListedImages& images_;
  const ImageGeometry geometry_;
  const DataSetLimits limits_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_LOADER_H_
