// The first examples of a data set as pictures for people to look at: what the model would see,
// before its values are scaled and normalised.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_PICTURES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_PICTURES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

struct ExamplePicture {
  std::string png;    // grey or RGB, 8-bit
  std::string label;  // the class's name, or its number; "" where labels are no classes
};

struct PictureLimits {
  int most_pixels_of_a_side = 224;  // larger ones are made smaller, as Pillow's resize does
  size_t most_bytes = 2 << 20;      // of all of them: what would go beyond is left out
};

// Of at most `count` examples, from the first on, by the first input that holds images: uint8
// [1 or 3, height, width]. None where there is no such input. Errors: of EncodePng.
absl::StatusOr<std::vector<ExamplePicture>> PicturesOf(const DataSet& data_set, int64_t count,
                                                       const PictureLimits& limits = {});

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_PICTURES_H_
