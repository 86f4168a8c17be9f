// Text on a terminal: colours, widths, and words of others made harmless.
// Widths are in code points, which is right for the alphabets that names come in, not for wide
// scripts. Thread safety: every function is thread-safe; Style is immutable.
#ifndef STOCKPOT_CLIENT_CLI_TEXT_H_
#define STOCKPOT_CLIENT_CLI_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace stockpot::cli {

// Colours, or plain text when the output takes none.
class Style {
 public:
  explicit Style(bool colour) : colour_(colour) {}
  std::string Bold(absl::string_view text) const { return Wrap("1", text); }
  std::string Dim(absl::string_view text) const { return Wrap("2", text); }
  std::string Red(absl::string_view text) const { return Wrap("31", text); }
  std::string Green(absl::string_view text) const { return Wrap("32", text); }

 private:
  std::string Wrap(absl::string_view code, absl::string_view text) const;

  bool colour_;
};

// Control characters replaced by '?': a name from a server cannot move the cursor.
std::string Printable(absl::string_view text);

size_t DisplayWidth(absl::string_view text);
// Filled with spaces to `width`; longer text stays.
std::string PadRight(absl::string_view text, size_t width);
std::string PadLeft(absl::string_view text, size_t width);
// At most `width` wide, with … at the end when something was cut.
std::string Truncate(absl::string_view text, size_t width);

std::string FormatCount(int64_t count);                                // 12,345
std::string FormatBytes(int64_t bytes);                                // 3.4 MB
std::string FormatSeconds(double seconds);                             // 0:07, 12:30, 3:04:05
std::string FormatTimestamp(const google::protobuf::Timestamp& time);  // UTC; "" when unset

// "jobs/x" for `jobs/x` and `x` alike.
std::string JobName(absl::string_view name_or_id);
// The `x` of jobs/x.
std::string JobId(absl::string_view name);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_TEXT_H_
