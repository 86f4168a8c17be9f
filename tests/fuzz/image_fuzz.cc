// An encoded image: JPEG, PNG or WebP.
#include "server/worker/dataset/image_decoder.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kMaxPixels = 1 << 20;
  const auto image = stockpot::DecodeImage(stockpot::AsText(data, size), kMaxPixels);
  if (!image.ok()) return 0;
  stockpot::Require(image->pixels.size() == size_t{3} * image->width * image->height,
                    "an image has its pixels");
  return 0;
}
