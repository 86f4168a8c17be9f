#include "server/control/rpc/crc32c.h"

#include <isa-l/crc.h>

namespace stockpot {

uint32_t Crc32c(absl::string_view bytes) {
  // libisal reads only, though its signature does not say so; it leaves both inversions to us.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), 0xFFFFFFFFu);
}

}  // namespace stockpot
