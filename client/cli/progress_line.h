// The one line that a terminal shows while a job runs:
//
//   [########------------]  40 %  12/30 tasks  41,200 examples/s  0:42 left  candidate 4 of 11
//
// Rates come from the server's times, not from a clock. Thread safety: thread-compatible.
#ifndef STOCKPOT_CLIENT_CLI_PROGRESS_LINE_H_
#define STOCKPOT_CLIENT_CLI_PROGRESS_LINE_H_

#include <string>

#include "absl/time/time.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

class ProgressLine {
 public:
  // `at`: when the server said so.
  void Update(const v1::Progress& progress, absl::Time at);
  // At most `width` wide; "" before the first update.
  std::string Render(size_t width) const;

 private:
  double SecondsLeft() const;

  v1::Progress progress_;
  absl::Time updated_at_ = absl::InfinitePast();
  double examples_per_second_ = 0;  // smoothed; 0: not known yet
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PROGRESS_LINE_H_
