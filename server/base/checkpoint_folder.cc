#include "server/base/checkpoint_folder.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace stockpot {

bool MayHoldCheckpoints(absl::string_view uri) {
  return absl::EndsWith(uri, "/") && uri.find_first_of("*?[") == absl::string_view::npos &&
         !absl::StartsWithIgnoreCase(uri, "http://") &&
         !absl::StartsWithIgnoreCase(uri, "https://");
}

bool IsOneOfSeveralFiles(absl::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == absl::string_view::npos || dot < 15) return false;
  const absl::string_view part = name.substr(dot - 15, 15);
  for (size_t i = 0; i < part.size(); ++i) {
    const absl::string_view pattern = "-00000-of-00000";
    if (pattern[i] == '0' ? !absl::ascii_isdigit(static_cast<unsigned char>(part[i]))
                          : part[i] != pattern[i]) {
      return false;
    }
  }
  return part.substr(10) != "00001";
}

}  // namespace stockpot
