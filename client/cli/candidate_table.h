// The candidates that a greedy recipe decided on, a line for each as they come:
//
//         #  candidate  held-out top-1            soup
//       3/12  model_07   71.20 % (1780/2500)          2  ✓ accepted
//
// Thread safety: thread-compatible.
#ifndef STOCKPOT_CLIENT_CLI_CANDIDATE_TABLE_H_
#define STOCKPOT_CLIENT_CLI_CANDIDATE_TABLE_H_

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/text.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

class CandidateTable {
 public:
  // `metric` as in ReportResult.metric.
  CandidateTable(std::string metric, Style style) : metric_(std::move(metric)), style_(style) {}

  // Makes room for a name, so that the columns of lines written before it was a candidate fit.
  void NoteName(absl::string_view name);
  void Add(const v1::JobEvent::CandidateDecided& decided);
  size_t size() const { return decided_.size(); }

  static constexpr size_t kAnyWidth = std::numeric_limits<size_t>::max();
  // Lines are cut at `width`.
  std::string Heading(size_t width = kAnyWidth) const;
  std::string Line(size_t index, size_t width = kAnyWidth) const;
  // The soup so far with its score, and the score that it began with; "" before the first
  // candidate.
  std::string Soup(size_t width = kAnyWidth) const;

 private:
  std::string ScoreOf(const v1::CandidateStep& step) const;

  const std::string metric_;
  const Style style_;
  size_t name_width_ = sizeof("candidate") - 1;
  std::vector<v1::JobEvent::CandidateDecided> decided_;
  v1::Score soup_, first_;  // of the soup so far, and of the one it began with
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_CANDIDATE_TABLE_H_
