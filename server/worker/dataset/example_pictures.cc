#include "server/worker/dataset/example_pictures.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/image.h"
#include "server/worker/dataset/image_resize.h"
#include "server/worker/dataset/png_encoder.h"

namespace stockpot {
namespace {

// Larger ones are no pictures to look at.
constexpr int64_t kMostOfASide = 1 << 13;

bool IsImage(const InputInfo& input) {
  const std::vector<int64_t>& shape = input.shape;
  return input.dtype == DType::kUint8 && shape.size() == 3 && (shape[0] == 1 || shape[0] == 3) &&
         shape[1] > 0 && shape[2] > 0 && shape[1] <= kMostOfASide && shape[2] <= kMostOfASide;
}

// Planes [channels, height, width] as interleaved RGB; grey ones three times.
Image FromPlanes(const char* planes, const std::vector<int64_t>& shape) {
  Image image(static_cast<int>(shape[1]), static_cast<int>(shape[2]));
  const size_t pixels = static_cast<size_t>(shape[1] * shape[2]);
  for (size_t channel = 0; channel < Image::kChannels; ++channel) {
    const char* plane = planes + (shape[0] == 1 ? 0 : channel * pixels);
    for (size_t i = 0; i < pixels; ++i) {
      image.pixels[Image::kChannels * i + channel] = static_cast<uint8_t>(plane[i]);
    }
  }
  return image;
}

Image Fitted(Image image, int most_of_a_side) {
  const int longer = std::max(image.height, image.width);
  if (longer <= most_of_a_side) return image;
  const auto shortened = [&](int side) {
    return std::max(1, static_cast<int>(int64_t{side} * most_of_a_side / longer));
  };
  return ResizeAntialiased(image, shortened(image.height), shortened(image.width),
                           Interpolation::kBicubic);
}

absl::StatusOr<std::string> Encode(const Image& image, bool is_grey) {
  if (!is_grey) return EncodePng(image.pixels.data(), image.height, image.width, Image::kChannels);
  std::vector<uint8_t> grey(image.pixels.size() / Image::kChannels);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = image.pixels[i * Image::kChannels];
  return EncodePng(grey.data(), image.height, image.width, 1);
}

std::string LabelOf(const DataSet& data_set, int64_t i) {
  if (data_set.label_kind() != LabelKind::kClasses) return "";
  const int64_t label = data_set.labels()[static_cast<size_t>(i)];
  const std::vector<std::string>& names = data_set.class_names();
  const auto index = static_cast<size_t>(label);
  return index < names.size() ? names[index] : absl::StrCat(label);
}

}  // namespace

absl::StatusOr<std::vector<ExamplePicture>> PicturesOf(const DataSet& data_set, int64_t count,
                                                       const PictureLimits& limits) {
  std::vector<ExamplePicture> pictures;
  const auto input = absl::c_find_if(data_set.inputs(), IsImage);
  if (input == data_set.inputs().end()) return pictures;
  const auto k = static_cast<size_t>(input - data_set.inputs().begin());
  size_t bytes = 0;
  for (int64_t i = 0; i < std::min(count, data_set.size()); ++i) {
    RETURN_IF_ERROR(data_set.Bring({&i, 1}));
    const Image image =
        Fitted(FromPlanes(data_set.example(k, i), input->shape), limits.most_pixels_of_a_side);
    ASSIGN_OR_RETURN(std::string png, Encode(image, input->shape[0] == 1));
    bytes += png.size();
    if (bytes > limits.most_bytes) break;
    pictures.push_back({std::move(png), LabelOf(data_set, i)});
  }
  return pictures;
}

}  // namespace stockpot
