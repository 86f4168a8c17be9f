#include "server/worker/dataset/image_decoder.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/known_content.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::StatusOr<Image> Decode(absl::string_view encoded, uint64_t max_pixels) {
  if (absl::StartsWith(encoded, "\xff\xd8\xff")) return DecodeJpeg(encoded, max_pixels);
  if (absl::StartsWith(encoded, "\x89PNG\r\n\x1a\n")) return DecodePng(encoded, max_pixels);
  if (absl::StartsWith(encoded, "RIFF") && encoded.size() >= 12 && encoded.substr(8, 4) == "WEBP") {
    return DecodeWebp(encoded, max_pixels);
  }
  if (encoded.empty()) return absl::InvalidArgumentError("the file is empty");
  return absl::InvalidArgumentError(
      absl::StrCat("not a JPEG, PNG or WebP image", ButKnownContent(encoded)));
}

}  // namespace

absl::StatusOr<Image> DecodeImage(absl::string_view encoded, uint64_t max_pixels) {
  absl::StatusOr<Image> image = Decode(encoded, max_pixels);
  if (!image.ok()) return WithReason(image.status(), "IMAGE_UNREADABLE");
  return image;
}

absl::Status CheckPixelCount(uint64_t width, uint64_t height, uint64_t max_pixels) {
  if (height != 0 && width > max_pixels / height) {
    return absl::InvalidArgumentError(absl::StrCat("the image declares ", width, " x ", height,
                                                   " pixels, more than the limit of ", max_pixels));
  }
  return absl::OkStatus();
}

}  // namespace stockpot
