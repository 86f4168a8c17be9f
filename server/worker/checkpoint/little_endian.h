// Little-endian numbers at any alignment in a byte view. The caller has checked the bounds.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_LITTLE_ENDIAN_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_LITTLE_ENDIAN_H_

#include <bit>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace stockpot {

// Checkpoints are little-endian and read in place.
static_assert(std::endian::native == std::endian::little);

template <typename Number>
Number LoadLittleEndian(absl::string_view bytes, size_t offset = 0) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_LITTLE_ENDIAN_H_
