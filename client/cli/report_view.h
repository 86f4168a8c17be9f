// What a job found, in words and tables. Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_REPORT_VIEW_H_
#define STOCKPOT_CLIENT_CLI_REPORT_VIEW_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/text.h"
#include "stockpot/v1/job.pb.h"
#include "stockpot/v1/report.pb.h"

namespace stockpot::cli {

// "69.80 % (1745/2500)" for top-1 and top-5, "0.8639" for cross-entropy; "-" when nothing was
// measured. `metric` as in ReportResult.metric.
std::string FormatScore(const v1::Score& score, absl::string_view metric);
bool IsLowerBetter(absl::string_view metric);
// "top-1", "top-5", "cross-entropy".
std::string MetricTitle(absl::string_view metric);
// The metric of a spec as ReportResult.metric would name it.
std::string MetricName(const v1::JobSpec& spec);

// The final table: a line for each data set (held-out first), a column for each of best single,
// uniform and the recipe's soup; then the ingredients of the soup, who was left out, what was
// decided and why, why it stopped early, and what known facts spared. The best score of a line is
// bold on a terminal. "" when nothing is known.
std::string FormatReport(const v1::Report& report, const Style& style);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_REPORT_VIEW_H_
