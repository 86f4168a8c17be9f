#include "server/base/known_content.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

struct Known {
  size_t at;
  absl::string_view bytes, what;
};

constexpr Known kKnown[] = {
    {0, "version https://git-lfs.github.com/spec/",
     "a Git LFS pointer: git lfs pull brings the file itself"},
    {0, "\x1f\x8b", "compressed by gzip: unpack it"},
    {0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it"},
    {0, "\xfd\x37zXZ", "compressed by xz: unpack it"},
    {0, "BZh", "compressed by bzip2: unpack it"},
    {0, "GIF8", "a GIF image"},
    {0, "II*", "a TIFF image"},
    {0, absl::string_view("MM\0*", 4), "a TIFF image"},
    {0, "BM", "a BMP image"},
    {4, "ftyphei", "a HEIC image"},
    {4, "ftypmif1", "a HEIC image"},
    {4, "ftypavif", "an AVIF image"},
};

bool IsWebPage(absl::string_view begin) {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(begin.substr(0, 100));
  return absl::StartsWithIgnoreCase(text, "<!doctype html") ||
         absl::StartsWithIgnoreCase(text, "<html");
}

}  // namespace

std::string ButKnownContent(absl::string_view begin) {
  for (const Known& known : kKnown) {
    const bool is_long_enough = begin.size() >= known.at + known.bytes.size();
    if (is_long_enough && absl::StartsWith(begin.substr(known.at), known.bytes)) {
      return absl::StrCat(" but ", known.what);
    }
  }
  return IsWebPage(begin) ? " but a web page, as failed downloads and log-ins leave it" : "";
}

}  // namespace stockpot
