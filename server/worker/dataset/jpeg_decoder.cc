// libjpeg reports errors by a callback that must not return, so it is left by longjmp. Functions
// that call setjmp here hold no object with a destructor, and what a jump may find half done lives
// in JpegReader, whose destructor frees it.
#include <csetjmp>
#include <cstddef>
#include <cstdio>

// jpeglib.h needs size_t and FILE to be declared.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/image_decoder.h"

namespace stockpot {
namespace {

// A progressive file of few bytes can ask for endless passes over a large image. Encoders write
// about ten scans.
constexpr int kMaxScans = 500;

class JpegReader {
 public:
  explicit JpegReader(absl::string_view encoded) : encoded_(encoded) {
    decoder_.err = jpeg_std_error(&errors_);
    decoder_.client_data = this;
    errors_.error_exit = OnError;
    errors_.emit_message = OnWarning;
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = OnProgress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&decoder_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  // False: message() says why.
  bool ReadHeader() {
    if (setjmp(on_error_) != 0) return false;
    jpeg_create_decompress(&decoder_);
    decoder_.progress = &progress_;
    jpeg_mem_src(&decoder_, reinterpret_cast<const unsigned char*>(encoded_.data()),
                 static_cast<unsigned long>(encoded_.size()));
    jpeg_read_header(&decoder_, TRUE);
    decoder_.out_color_space = decoder_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    return true;
  }

  // `pixels` has room for height() * width() * channels() bytes.
  bool ReadPixels(uint8_t* pixels) {
    if (setjmp(on_error_) != 0) return false;
    jpeg_start_decompress(&decoder_);
    const size_t row_size = size_t{decoder_.output_width} * channels();
    while (decoder_.output_scanline < decoder_.output_height) {
      JSAMPROW row = pixels + decoder_.output_scanline * row_size;
      jpeg_read_scanlines(&decoder_, &row, 1);
    }
    jpeg_finish_decompress(&decoder_);
    return true;
  }

  unsigned width() const { return decoder_.image_width; }
  unsigned height() const { return decoder_.image_height; }
  unsigned components() const { return static_cast<unsigned>(decoder_.num_components); }
  unsigned channels() const { return decoder_.out_color_space == JCS_CMYK ? 4 : 3; }
  const char* message() const { return message_; }

 private:
  static void OnError(j_common_ptr decoder) {
    auto* self = static_cast<JpegReader*>(decoder->client_data);
    decoder->err->format_message(decoder, self->message_);
    longjmp(self->on_error_, 1);
  }
  static void OnWarning(j_common_ptr decoder, int level) {
    // libjpeg would go on with grey; every other warning is passed over, as Pillow does.
    if (level < 0 && decoder->err->msg_code == JWRN_JPEG_EOF) OnError(decoder);
  }
  static void OnProgress(j_common_ptr decoder) {
    auto* self = static_cast<JpegReader*>(decoder->client_data);
    if (self->decoder_.input_scan_number <= kMaxScans) return;
    std::snprintf(self->message_, sizeof(self->message_), "more than %d scans", kMaxScans);
    longjmp(self->on_error_, 1);
  }

  const absl::string_view encoded_;
  jpeg_decompress_struct decoder_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_progress_mgr progress_ = {};
  std::jmp_buf on_error_;
  char message_[JMSG_LENGTH_MAX] = {};
};

// a * b / 255, rounded, without a division.
uint8_t MultiplyUnit(unsigned a, unsigned b) {
  const unsigned product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// The stored values are inverted: they are 255 - C, 255 - M, 255 - Y, 255 - K.
void InvertedCmykToRgb(const std::vector<uint8_t>& cmyk, uint8_t* rgb) {
  for (size_t from = 0; from < cmyk.size(); from += 4, rgb += 3) {
    for (size_t channel = 0; channel < 3; ++channel) {
      rgb[channel] = MultiplyUnit(cmyk[from + channel], cmyk[from + 3]);
    }
  }
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(absl::string_view encoded, uint64_t max_pixels) {
  JpegReader reader(encoded);
  if (!reader.ReadHeader()) {
    return absl::InvalidArgumentError(absl::StrCat("unreadable JPEG: ", reader.message()));
  }
  RETURN_IF_ERROR(CheckPixelCount(reader.width(), reader.height(), max_pixels));
  if (reader.components() != 1 && reader.components() != 3 && reader.components() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("unreadable JPEG: ", reader.components(), " components"));
  }
  Image image(static_cast<int>(reader.height()), static_cast<int>(reader.width()));
  std::vector<uint8_t> cmyk;
  if (reader.channels() == 4) cmyk.resize(image.pixels.size() / 3 * 4);
  if (!reader.ReadPixels(cmyk.empty() ? image.pixels.data() : cmyk.data())) {
    return absl::InvalidArgumentError(absl::StrCat("unreadable JPEG: ", reader.message()));
  }
  if (!cmyk.empty()) InvertedCmykToRgb(cmyk, image.pixels.data());
  return image;
}

}  // namespace stockpot
