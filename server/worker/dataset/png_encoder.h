// Pixels as a PNG, by libpng, which also decodes (image_decoder.h): 8-bit grey or RGB.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_PNG_ENCODER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_PNG_ENCODER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace stockpot {

// `pixels` are height * width * channels, rows from the top, channels interleaved; `channels` is 1
// or 3. Errors: INTERNAL, sizes that PNG does not have
// or no memory.
absl::StatusOr<std::string> EncodePng(const uint8_t* pixels, int height, int width, int channels);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_PNG_ENCODER_H_
