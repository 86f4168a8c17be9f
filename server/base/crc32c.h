// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4): of "123456789" it is 0xE3069283.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_CRC32C_H_
#define STOCKPOT_SERVER_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stockpot {

uint32_t Crc32c(absl::string_view bytes);

// Of what `crc` is of, followed by `bytes`; 0 is of nothing.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_CRC32C_H_
