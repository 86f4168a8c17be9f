#include "server/worker/dataset/image_loader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/image_decoder.h"
#include "server/worker/dataset/image_geometry.h"

namespace stockpot {
namespace {

// Interleaved pixels to one plane a channel.
void ToPlanes(const Image& image, char* planes) {
  const size_t plane = image.pixels.size() / Image::kChannels;
  for (size_t channel = 0; channel < Image::kChannels; ++channel) {
    char* to = planes + channel * plane;
    const uint8_t* from = image.pixels.data() + channel;
    for (size_t i = 0; i < plane; ++i) to[i] = static_cast<char>(from[i * Image::kChannels]);
  }
}

}  // namespace

InputInfo DescribeImages(const std::string& name, const PixelSize& size) {
  return {name,
          DType::kUint8,
          {Image::kChannels, static_cast<int64_t>(size.height), static_cast<int64_t>(size.width)},
          size.byte_count()};
}

absl::StatusOr<PixelSize> ImageLoader::FindSize() const {
  ASSIGN_OR_RETURN(const Image first, Decode(0));
  return PixelSize{static_cast<uint64_t>(first.height), static_cast<uint64_t>(first.width)};
}

absl::Status ImageLoader::Load(size_t i, const PixelSize& size, char* planes) const {
  ASSIGN_OR_RETURN(const Image image, Decode(i));
  if (static_cast<uint64_t>(image.height) != size.height ||
      static_cast<uint64_t>(image.width) != size.width) {
    const std::string name = images_.NameOf(i);
    return WithMetadata(
        WithReason(absl::InvalidArgumentError(
                       absl::StrCat(name, ": ", image.width, " x ", image.height, " pixels, but ",
                                    images_.NameOf(0), " has ", size.width, " x ", size.height,
                                    ": give a resize or crop that makes all images the same size")),
                   "DATA_SET_INVALID"),
        "file", name);
  }
  ToPlanes(image, planes);
  return absl::OkStatus();
}

absl::StatusOr<Image> ImageLoader::Decode(size_t i) const {
  absl::StatusOr<Image> image = DecodeUnnamed(i);
  if (image.ok()) return image;
  const std::string name = images_.NameOf(i);
  return WithMetadata(Annotate(image.status(), name), "file", name);
}

absl::StatusOr<Image> ImageLoader::DecodeUnnamed(size_t i) const {
  const auto encoded = images_.source->Read(images_.examples[i]);
  if (!encoded.ok()) {
    const bool known = !GetErrorFacts(encoded.status()).reason.empty();
    return known ? encoded.status() : WithReason(encoded.status(), "IMAGE_UNREADABLE");
  }
  if (encoded->bytes.size() > limits_.max_file_bytes) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          encoded->bytes.size(), " bytes, limit ", limits_.max_file_bytes)),
                      "IMAGE_UNREADABLE");
  }
  ASSIGN_OR_RETURN(Image image, DecodeImage(encoded->bytes, limits_.max_image_pixels));
  absl::StatusOr<Image> shaped =
      ApplyGeometry(std::move(image), geometry_, limits_.max_image_pixels);
  if (!shaped.ok()) return WithReason(shaped.status(), "DATA_SET_INVALID");
  return shaped;
}

}  // namespace stockpot
