// The fields of an HTTP answer that reading files depends on, parsed strictly: what is not
// understood is as if it were not there. Source: RFC 9110, sections 5.6.7, 8.8, 10.2.3, 14.4.
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_HTTP_FIELDS_H_
#define STOCKPOT_SERVER_STORAGE_HTTP_FIELDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace stockpot {

// By lower-case name; of a name that comes twice the first.
using HttpFields = std::map<std::string, std::string>;

// Adds "Name: value\r\n"; ignores a line that is no field.
void AddHttpField(absl::string_view line, HttpFields* fields);

// "" when there is none.
std::string FieldOf(const HttpFields& fields, const std::string& name);

std::optional<uint64_t> ContentLengthOf(const HttpFields& fields);

// "bytes 0-99/1000" and "bytes */1000".
struct ContentRange {
  bool is_satisfied = false;    // false of the second form
  uint64_t begin = 0, end = 0;  // end is after the last byte
  uint64_t size = 0;
};
std::optional<ContentRange> ContentRangeOf(const HttpFields& fields);

// The ETag when it is a strong one, with its quotes; else "".
std::string StrongEntityTagOf(const HttpFields& fields);

// Whatever tells one version of a file from the next, as one text: entity tag, weak or strong, and
// Last-Modified. "" when the server tells nothing.
std::string VersionTextOf(const HttpFields& fields);

// Retry-After, as seconds or as a date, from `now`; zero when there is none or it is past.
absl::Duration RetryAfterOf(const HttpFields& fields, absl::Time now);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_HTTP_FIELDS_H_
