#include "client/cli/picture_grid.h"

#include <png.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace stockpot::cli {
namespace {

// What a server is believed to send: soup_service.proto says less of both.
constexpr size_t kMostPictures = 1000;
constexpr png_uint_32 kMostPixelsOfASide = 1024;
constexpr int kChannels = 3;
constexpr int kGap = 2;
constexpr uint8_t kWhite = 255;

struct Picture {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // RGB
};

png_image NewImage() {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  return image;
}

absl::StatusOr<Picture> Decode(const std::string& png) {
  png_image image = NewImage();
  if (png_image_begin_read_from_memory(&image, png.data(), png.size()) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a picture of the server's is no PNG: ", image.message));
  }
  Picture picture;
  if (image.width > kMostPixelsOfASide || image.height > kMostPixelsOfASide) {
    png_image_free(&image);
    return absl::InvalidArgumentError("a picture of the server's is too large");
  }
  image.format = PNG_FORMAT_RGB;
  picture.width = static_cast<int>(image.width);
  picture.height = static_cast<int>(image.height);
  picture.pixels.resize(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a picture of the server's is damaged: ", image.message));
  }
  return picture;
}

absl::StatusOr<std::string> Encode(const Picture& picture) {
  png_image image = NewImage();
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string png(size, '\0');
  if (png_image_write_to_memory(&image, png.data(), &size, 0, picture.pixels.data(), 0, nullptr) ==
      0) {
    return absl::InternalError(absl::StrCat("cannot make a PNG: ", image.message));
  }
  png.resize(size);
  return png;
}

void Paste(const Picture& picture, int left, int top, Picture* into) {
  const size_t row = static_cast<size_t>(picture.width) * kChannels;
  for (int y = 0; y < picture.height; ++y) {
    const size_t to = (static_cast<size_t>(top + y) * static_cast<size_t>(into->width) +
                       static_cast<size_t>(left)) *
                      kChannels;
    std::memcpy(into->pixels.data() + to, picture.pixels.data() + static_cast<size_t>(y) * row,
                row);
  }
}

}  // namespace

absl::StatusOr<PictureGrid> MakePictureGrid(const std::vector<std::string>& pngs) {
  if (pngs.empty() || pngs.size() > kMostPictures) {
    return absl::InvalidArgumentError("too many pictures, or none");
  }
  std::vector<Picture> pictures;
  int width = 0, height = 0;
  for (const std::string& png : pngs) {
    absl::StatusOr<Picture> picture = Decode(png);
    if (!picture.ok()) return picture.status();
    width = std::max(width, picture->width);
    height = std::max(height, picture->height);
    pictures.push_back(*std::move(picture));
  }
  const int count = static_cast<int>(pictures.size());
  int columns = 1;
  while (columns * columns < count) ++columns;
  const int rows = (count + columns - 1) / columns;
  Picture grid;
  grid.width = columns * (width + kGap) - kGap;
  grid.height = rows * (height + kGap) - kGap;
  grid.pixels.assign(static_cast<size_t>(grid.width) * static_cast<size_t>(grid.height) * kChannels,
                     kWhite);
  for (int i = 0; i < count; ++i) {
    Paste(pictures[static_cast<size_t>(i)], i % columns * (width + kGap),
          i / columns * (height + kGap), &grid);
  }
  absl::StatusOr<std::string> png = Encode(grid);
  if (!png.ok()) return png.status();
  return PictureGrid{*std::move(png), columns};
}

}  // namespace stockpot::cli
