// The fields of a server's answer, a line each.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/storage/http_fields.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  stockpot::HttpFields fields;
  for (const absl::string_view line : absl::StrSplit(stockpot::AsText(data, size), '\n')) {
    stockpot::AddHttpField(absl::StrCat(line, "\n"), &fields);
  }
  stockpot::ContentLengthOf(fields);
  stockpot::StrongEntityTagOf(fields);
  stockpot::VersionTextOf(fields);
  const auto range = stockpot::ContentRangeOf(fields);
  stockpot::Require(
      !range || !range->is_satisfied || (range->begin < range->end && range->end <= range->size),
      "a range lies in its file");
  stockpot::Require(stockpot::RetryAfterOf(fields, absl::UnixEpoch()) >= absl::ZeroDuration(),
                    "nobody waits for less than nothing");
  return 0;
}
