#include "server/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <limits>

namespace stockpot {

uint32_t Crc32c(absl::string_view bytes) { return ExtendCrc32c(0, bytes); }

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  uint32_t sum = ~crc;
  while (!bytes.empty()) {  // libisal takes the length as an int
    const size_t size = std::min<size_t>(bytes.size(), std::numeric_limits<int>::max());
    // It reads only, though its signature does not say so; it leaves both inversions to us.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
    sum = crc32_iscsi(data, static_cast<int>(size), sum);
    bytes.remove_prefix(size);
  }
  return ~sum;
}

}  // namespace stockpot
