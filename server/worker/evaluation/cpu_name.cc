#include "server/worker/evaluation/cpu_name.h"

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace stockpot {

CpuName ReadCpuName() {
  CpuName name;
  std::ifstream file("/proc/cpuinfo");
  // The first processor's lines end with an empty one.
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view key = absl::StripAsciiWhitespace(field.first);
    const std::string value(absl::StripAsciiWhitespace(field.second));
    if (value.empty()) continue;
    if (key == "vendor_id") name.vendor = value;
    if (key == "model name") name.model = value;
  }
  return name;
}

}  // namespace stockpot
