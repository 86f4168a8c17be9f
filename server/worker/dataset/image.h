// An image in memory: 8-bit RGB, rows from the top, pixels interleaved.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stockpot {

struct Image {
  static constexpr int kChannels = 3;

  Image() = default;
  Image(int image_height, int image_width)
      : height(image_height),
        width(image_width),
        pixels(static_cast<size_t>(image_height) * static_cast<size_t>(image_width) * kChannels) {}

  size_t row_size() const { return static_cast<size_t>(width) * kChannels; }
  uint8_t* row(int y) { return pixels.data() + static_cast<size_t>(y) * row_size(); }
  const uint8_t* row(int y) const { return pixels.data() + static_cast<size_t>(y) * row_size(); }

  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // height * width * 3, black when just made
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_H_
