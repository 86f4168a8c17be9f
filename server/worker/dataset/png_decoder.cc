// libpng reports errors by a callback that must not return, so it is left by longjmp. As in
// jpeg_decoder.cc, functions that call setjmp hold no object with a destructor.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/image_decoder.h"

namespace stockpot {
namespace {

// Of one text, profile or other side chunk, so that a small file cannot inflate into gigabytes.
constexpr png_alloc_size_t kMaxChunkBytes = 8 << 20;
constexpr png_uint_32 kMaxKeptChunks = 1000;

class PngReader {
 public:
  explicit PngReader(absl::string_view encoded) : rest_(encoded) {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // False: message() says why.
  bool ReadHeader() {
    if (setjmp(on_error_) != 0) return false;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, OnError, OnWarning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_set_chunk_cache_max(png_, kMaxKeptChunks);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_read_fn(png_, this, OnRead);
    png_read_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    is_wide_grey_ = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY &&
                    png_get_bit_depth(png_, info_) == 16;
    return true;
  }

  // Rows of row_size() bytes.
  bool ReadPixels(png_bytepp rows) {
    if (setjmp(on_error_) != 0) return false;
    if (!is_wide_grey_) {
      png_set_expand(png_);
      png_set_strip_16(png_);
      png_set_gray_to_rgb(png_);
    }
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != row_size()) png_error(png_, "unexpected pixel layout");
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  png_uint_32 width() const { return width_; }
  png_uint_32 height() const { return height_; }
  // 16-bit grey comes as two bytes a pixel, all else as RGB.
  bool is_wide_grey() const { return is_wide_grey_; }
  size_t row_size() const { return size_t{width_} * (is_wide_grey_ ? 2 : 3); }
  const char* message() const { return message_; }

 private:
  static void OnError(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof(self->message_), "%s", message);
    std::longjmp(self->on_error_, 1);
  }
  static void OnWarning(png_structp, png_const_charp) {}
  static void OnRead(png_structp png, png_bytep to, size_t size) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (size > self->rest_.size()) png_error(png, "the file is truncated");
    std::memcpy(to, self->rest_.data(), size);
    self->rest_.remove_prefix(size);
  }

  absl::string_view rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  png_uint_32 width_ = 0, height_ = 0;
  bool is_wide_grey_ = false;
  std::jmp_buf on_error_;
  char message_[200] = "out of memory";
};

void ClipWideGreyToRgb(const std::vector<uint8_t>& grey, uint8_t* rgb) {
  for (size_t from = 0; from < grey.size(); from += 2, rgb += 3) {
    std::fill_n(rgb, 3, grey[from] != 0 ? uint8_t{255} : grey[from + 1]);
  }
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view encoded, uint64_t max_pixels) {
  PngReader reader(encoded);
  if (!reader.ReadHeader()) {
    return absl::InvalidArgumentError(absl::StrCat("unreadable PNG: ", reader.message()));
  }
  RETURN_IF_ERROR(CheckPixelCount(reader.width(), reader.height(), max_pixels));
  Image image(static_cast<int>(reader.height()), static_cast<int>(reader.width()));
  std::vector<uint8_t> grey;
  if (reader.is_wide_grey()) grey.resize(reader.row_size() * reader.height());
  std::vector<png_bytep> rows(reader.height());
  uint8_t* first = reader.is_wide_grey() ? grey.data() : image.pixels.data();
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = first + y * reader.row_size();
  if (!reader.ReadPixels(rows.data())) {
    return absl::InvalidArgumentError(absl::StrCat("unreadable PNG: ", reader.message()));
  }
  if (reader.is_wide_grey()) ClipWideGreyToRgb(grey, image.pixels.data());
  return image;
}

}  // namespace stockpot
