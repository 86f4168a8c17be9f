#include "server/worker/dataset/image_geometry.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/base/status.h"
#include "server/worker/dataset/image_decoder.h"
#include "server/worker/dataset/image_resize.h"

namespace stockpot {
namespace {

struct Size {
  int64_t height = 0, width = 0;
};

Size ResizedSize(const Image& image, const ImageGeometry& geometry) {
  if (geometry.resize_height > 0) return {geometry.resize_height, geometry.resize_width};
  if (geometry.resize_shorter_side == 0) return {image.height, image.width};
  const int64_t shorter = std::min(image.height, image.width);
  const int64_t longer = std::max(image.height, image.width);
  // As Python's int(size * long / short): one division in float64, truncated.
  const int64_t new_longer = static_cast<int64_t>(
      static_cast<double>(geometry.resize_shorter_side * longer) / static_cast<double>(shorter));
  if (image.width <= image.height) return {new_longer, geometry.resize_shorter_side};
  return {geometry.resize_shorter_side, new_longer};
}

// Where a crop of `crop` begins in `size`, negative when it must be padded. torchvision pads
// (crop - size) // 2 before, and crops at round((size - crop) / 2) with ties to even, as Python
// does; transformers crops at (size - crop) // 2.
int CropBegin(int size, int crop, bool rounds_down) {
  if (crop > size) return -((crop - size) / 2);
  if (rounds_down) return (size - crop) / 2;
  return static_cast<int>(std::nearbyint((size - crop) / 2.0));
}

Image CenterCrop(const Image& image, const ImageGeometry& geometry) {
  const int height = geometry.crop_height, width = geometry.crop_width;
  const int top = CropBegin(image.height, height, geometry.crop_rounds_down);
  const int left = CropBegin(image.width, width, geometry.crop_rounds_down);
  const int begin = std::max(left, 0), end = std::min(left + width, image.width);
  Image result(height, width);
  for (int y = std::max(top, 0); y < std::min(top + height, image.height); ++y) {
    const uint8_t* from = image.row(y);
    std::copy(from + static_cast<ptrdiff_t>(begin) * Image::kChannels,
              from + static_cast<ptrdiff_t>(end) * Image::kChannels,
              result.row(y - top) + static_cast<ptrdiff_t>(begin - left) * Image::kChannels);
  }
  return result;
}

absl::Status InvalidGeometry(const char* message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

}  // namespace

absl::Status CheckGeometry(const ImageGeometry& geometry) {
  for (int size : {geometry.resize_shorter_side, geometry.resize_height, geometry.resize_width,
                   geometry.crop_height, geometry.crop_width}) {
    if (size < 0) return InvalidGeometry("image sizes must not be negative");
  }
  if ((geometry.resize_height > 0) != (geometry.resize_width > 0)) {
    return InvalidGeometry("resize needs both height and width");
  }
  if ((geometry.crop_height > 0) != (geometry.crop_width > 0)) {
    return InvalidGeometry("crop needs both height and width");
  }
  if (geometry.resize_height > 0 && geometry.resize_shorter_side > 0) {
    return InvalidGeometry("resize either to an exact size or by the shorter side, not both");
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> ApplyGeometry(Image image, const ImageGeometry& geometry,
                                    uint64_t max_pixels) {
  const Size size = ResizedSize(image, geometry);
  RETURN_IF_ERROR(CheckPixelCount(static_cast<uint64_t>(size.width),
                                  static_cast<uint64_t>(size.height), max_pixels));
  if (size.height != image.height || size.width != image.width) {
    const auto resize = geometry.antialias ? ResizeAntialiased : ResizeInterpolated;
    image = resize(image, static_cast<int>(size.height), static_cast<int>(size.width),
                   geometry.interpolation);
  }
  if (geometry.crop_height == 0) return image;
  RETURN_IF_ERROR(CheckPixelCount(static_cast<uint64_t>(geometry.crop_width),
                                  static_cast<uint64_t>(geometry.crop_height), max_pixels));
  return CenterCrop(image, geometry);
}

}  // namespace stockpot
