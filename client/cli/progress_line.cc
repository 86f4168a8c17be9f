#include "client/cli/progress_line.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

constexpr int kBarWidth = 20;
// Weight of the newest rate: a few updates decide, one does not.
constexpr double kSmoothing = 0.3;

// Examples where they are counted, else tasks.
double Share(const v1::Progress& progress) {
  const bool examples = progress.examples_total() > 0;
  const auto done =
      static_cast<double>(examples ? progress.examples_done() : progress.tasks_done());
  const auto total =
      static_cast<double>(examples ? progress.examples_total() : progress.tasks_total());
  return total > 0 ? std::clamp(done / total, 0.0, 1.0) : 0.0;
}

}  // namespace

void ProgressLine::Update(const v1::Progress& progress, absl::Time at) {
  const double seconds = absl::ToDoubleSeconds(at - updated_at_);
  const auto examples = static_cast<double>(progress.examples_done() - progress_.examples_done());
  if (updated_at_ != absl::InfinitePast() && seconds > 0 && examples >= 0) {
    const double rate = examples / seconds;
    examples_per_second_ = examples_per_second_ == 0
                               ? rate
                               : kSmoothing * rate + (1 - kSmoothing) * examples_per_second_;
  }
  progress_ = progress;
  updated_at_ = at;
}

double ProgressLine::SecondsLeft() const {
  if (progress_.estimated_seconds_left() > 0) return progress_.estimated_seconds_left();
  const auto left = static_cast<double>(progress_.examples_total() - progress_.examples_done());
  return examples_per_second_ > 0 ? left / examples_per_second_ : 0;
}

std::string ProgressLine::Render(size_t width) const {
  if (updated_at_ == absl::InfinitePast()) return "";
  const double share = Share(progress_);
  const int filled = static_cast<int>(std::lround(share * kBarWidth));
  std::string line = absl::StrFormat("[%s%s] %3.0f %%", std::string(filled, '#'),
                                     std::string(kBarWidth - filled, '-'), 100 * share);
  if (progress_.tasks_total() > 0) {
    absl::StrAppend(&line, "  ", progress_.tasks_done(), "/", progress_.tasks_total(), " tasks");
  }
  if (examples_per_second_ > 0) {
    absl::StrAppend(&line, "  ", FormatCount(std::llround(examples_per_second_)), " examples/s");
  }
  if (const double left = SecondsLeft(); left > 0) {
    absl::StrAppend(&line, "  ", FormatSeconds(left), " left");
  }
  if (!progress_.activity().empty()) absl::StrAppend(&line, "  ", Printable(progress_.activity()));
  return Truncate(line, width);
}

}  // namespace stockpot::cli
