#include "server/base/random_id.h"

#include <random>

#include "absl/strings/str_cat.h"

namespace stockpot {

std::string RandomId() {
  std::random_device random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8));
}

}  // namespace stockpot
