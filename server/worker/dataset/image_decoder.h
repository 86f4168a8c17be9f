// Encoded images to pixels: JPEG by libjpeg-turbo, PNG by libpng, WebP by libwebp. The kind is told
// by the first bytes, never by a name.
//
// Source: the pixels are those of Pillow's Image.open(…).convert("RGB"), byte for byte:
//   JPEG  accurate integer DCT, smooth ("fancy") chroma upsampling; grey is replicated; CMYK and
//   YCCK
//         are taken as inverted, as Adobe writes them, and R = (255 - C)(255 - K) / 255, rounded.
//   PNG   alpha is dropped, not blended; 16-bit channels keep their high byte, except grey without
//         alpha, which is clipped to 255 (what Pillow 13 does with its mode I;16, measured).
//   WebP  alpha is dropped, not blended; animations are refused.
// EXIF orientation is not applied, as in torchvision's ImageFolder.
// Stricter than Pillow: a PNG that ends before its IEND chunk is truncated, hence unreadable.
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DECODER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DECODER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/dataset/image.h"

namespace stockpot {

// Errors: INVALID_ARGUMENT not an image, damaged, truncated, or more pixels than allowed (known
// before any are decoded). Reason IMAGE_UNREADABLE; the caller names the file.
absl::StatusOr<Image> DecodeImage(absl::string_view encoded, uint64_t max_pixels);

// One decoder each; DecodeImage chooses.
absl::StatusOr<Image> DecodeJpeg(absl::string_view encoded, uint64_t max_pixels);
absl::StatusOr<Image> DecodePng(absl::string_view encoded, uint64_t max_pixels);
absl::StatusOr<Image> DecodeWebp(absl::string_view encoded, uint64_t max_pixels);

// For the decoders: INVALID_ARGUMENT when an image declares too many pixels.
absl::Status CheckPixelCount(uint64_t width, uint64_t height, uint64_t max_pixels);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DECODER_H_
