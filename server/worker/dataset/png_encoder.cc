#include "server/worker/dataset/png_encoder.h"

#include <png.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace stockpot {

// libpng's simplified interface: it reports errors in `image`, without leaving by longjmp.
absl::StatusOr<std::string> EncodePng(const uint8_t* pixels, int height, int width, int channels) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(height);
  image.width = static_cast<png_uint_32>(width);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  const png_int_32 row_size = width * channels;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string encoded(size, '\0');
  if (png_image_write_to_memory(&image, encoded.data(), &size, /*convert_to_8bit=*/0, pixels,
                                row_size, /*colormap=*/nullptr) == 0) {
    return absl::InternalError(absl::StrCat("cannot make a PNG: ", image.message));
  }
  encoded.resize(size);
  return encoded;
}

}  // namespace stockpot
