#include "server/storage/shard_pattern.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxDigits = 9;

absl::Status BadPattern(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "INVALID_FIELD");
}

struct NumberRange {
  std::string before;  // the text up to it
  uint64_t first = 0, last = 0;
  size_t width = 0;

  uint64_t count() const { return last - first + 1; }
};

bool ReadDigits(absl::string_view text, uint64_t* number) {
  return !text.empty() && text.size() <= kMaxDigits &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, number);
}

absl::StatusOr<NumberRange> ReadRange(absl::string_view text) {
  NumberRange range;
  const size_t dots = text.find("..");
  if (dots == absl::string_view::npos || !ReadDigits(text.substr(0, dots), &range.first) ||
      !ReadDigits(text.substr(dots + 2), &range.last)) {
    return BadPattern("braces hold a range of numbers, such as {00000..00012}");
  }
  if (range.last < range.first) return BadPattern("a range in braces must not fall");
  range.width = dots;
  return range;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandShards(absl::string_view uri, size_t max_files) {
  std::vector<NumberRange> ranges;
  uint64_t count = 1;
  absl::string_view rest = uri;
  for (size_t open = rest.find('{'); open != absl::string_view::npos; open = rest.find('{')) {
    const size_t close = rest.find('}', open);
    if (close == absl::string_view::npos) return BadPattern("a brace is not closed");
    ASSIGN_OR_RETURN(NumberRange range, ReadRange(rest.substr(open + 1, close - open - 1)));
    if (range.count() > max_files / count) {
      return BadPattern(absl::StrCat("names more than ", max_files, " files"));
    }
    count *= range.count();
    range.before = std::string(rest.substr(0, open));
    ranges.push_back(std::move(range));
    rest.remove_prefix(close + 1);
  }
  std::vector<std::string> uris;
  for (uint64_t index = 0; index < count; ++index) {
    std::string shard;
    uint64_t block = count, left = index;
    for (const NumberRange& range : ranges) {
      block /= range.count();
      const std::string number = absl::StrCat(range.first + left / block);
      left %= block;
      shard += range.before;
      shard.append(number.size() < range.width ? range.width - number.size() : 0, '0');
      shard += number;
    }
    uris.push_back(absl::StrCat(shard, rest));
  }
  return uris;
}

}  // namespace stockpot
