#include "client/cli/candidate_table.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/report_view.h"

namespace stockpot::cli {
namespace {

constexpr size_t kMaxNameWidth = 40;
constexpr size_t kScoreWidth = 24;

struct Verdict {
  const char* words;
  std::string (Style::*paint)(absl::string_view) const;
};

// A candidate that was rejected before all of the held-out set was seen has no score.
Verdict VerdictOf(const v1::CandidateStep& step) {
  if (step.accepted()) return {"✓ accepted", &Style::Green};
  if (step.passed_over()) return {"- passed over", &Style::Dim};
  if (step.has_not_better_than()) return {"✗ dropped early", &Style::Dim};
  return {"✗ rejected", &Style::Dim};
}

}  // namespace

void CandidateTable::NoteName(absl::string_view name) {
  name_width_ = std::max(name_width_, std::min(DisplayWidth(name), kMaxNameWidth));
}

void CandidateTable::Add(const v1::JobEvent::CandidateDecided& decided) {
  const v1::CandidateStep& step = decided.step();
  NoteName(step.candidate());
  if (step.accepted()) {
    // Of several orders, each begins with one.
    if (step.soup_size() == 1) first_ = step.score();
    soup_ = step.score();
  }
  decided_.push_back(decided);
}

std::string CandidateTable::Heading(size_t width) const {
  return style_.Dim(
      Truncate(absl::StrCat(PadLeft("#", 9), "  ", PadRight("candidate", name_width_), "  ",
                            PadRight(absl::StrCat("held-out ", MetricTitle(metric_)), kScoreWidth),
                            "  soup"),
               width));
}

std::string CandidateTable::Line(size_t index, size_t width) const {
  const v1::JobEvent::CandidateDecided& decided = decided_[index];
  const v1::CandidateStep& step = decided.step();
  const std::string position = absl::StrCat(decided.position(), "/", decided.candidate_count());
  const Verdict verdict = VerdictOf(step);
  // Where there is room, a long name stays whole.
  const std::string name = Printable(step.candidate());
  const std::string line = Truncate(
      absl::StrCat(PadLeft(position, 9), "  ",
                   PadRight(width == kAnyWidth ? name : Truncate(name, kMaxNameWidth), name_width_),
                   "  ", PadRight(ScoreOf(step), kScoreWidth), "  ",
                   PadLeft(absl::StrCat(step.soup_size()), 4), "  ", verdict.words),
      width);
  if (!absl::EndsWith(line, verdict.words)) return line;
  return absl::StrCat(absl::StripSuffix(line, verdict.words),
                      (style_.*verdict.paint)(verdict.words));
}

std::string CandidateTable::Soup(size_t width) const {
  if (decided_.empty()) return "";
  const int size = decided_.back().step().soup_size();
  std::string line = absl::StrCat("soup of ", size, ": ", FormatScore(soup_, metric_));
  if (size > 1) absl::StrAppend(&line, "; it began with ", FormatScore(first_, metric_));
  return Truncate(line, width);
}

std::string CandidateTable::ScoreOf(const v1::CandidateStep& step) const {
  if (!step.has_not_better_than()) return FormatScore(step.score(), metric_);
  return absl::StrCat(IsLowerBetter(metric_) ? "≥ " : "≤ ",
                      FormatScore(step.not_better_than(), metric_));
}

}  // namespace stockpot::cli
