#include <webp/decode.h>

#include "server/base/status.h"
#include "server/worker/dataset/image_decoder.h"

namespace stockpot {

absl::StatusOr<Image> DecodeWebp(absl::string_view encoded, uint64_t max_pixels) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(encoded.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes, encoded.size(), &features) != VP8_STATUS_OK) {
    return absl::InvalidArgumentError("unreadable WebP: damaged header");
  }
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError("unreadable WebP: animations are not supported");
  }
  RETURN_IF_ERROR(CheckPixelCount(static_cast<uint64_t>(features.width),
                                  static_cast<uint64_t>(features.height), max_pixels));
  Image image(features.height, features.width);
  if (WebPDecodeRGBInto(bytes, encoded.size(), image.pixels.data(), image.pixels.size(),
                        static_cast<int>(image.row_size())) == nullptr) {
    return absl::InvalidArgumentError("unreadable WebP: damaged or truncated");
  }
  return image;
}

}  // namespace stockpot
