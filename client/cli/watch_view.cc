#include "client/cli/watch_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/errors.h"
#include "client/cli/json_lines.h"
#include "client/cli/report_view.h"

namespace stockpot::cli {
namespace {

// Above the table: what happened last.
constexpr size_t kLinesAbove = 1;

std::string DisplayName(const v1::Ingredient& ingredient) {
  if (!ingredient.display_name().empty()) return ingredient.display_name();
  return ingredient.uri().substr(ingredient.uri().rfind('/') + 1);
}

std::string HeldOutName(const v1::JobSpec& spec) {
  const std::string& name = spec.evaluation().held_out().name();
  return name.empty() ? "held_out" : name;
}

std::string InspectedLine(const v1::JobEvent::IngredientInspected& inspected, const Style& style) {
  std::string line = absl::StrCat("ingredient ", Printable(inspected.display_name()));
  if (!inspected.problem().empty()) {
    return absl::StrCat(line, ": ", style.Red(Printable(inspected.problem())));
  }
  if (!inspected.identical_to().empty()) {
    absl::StrAppend(&line, ": the same weights as ", Printable(inspected.identical_to()));
  }
  if (inspected.notes_size() > 0) {
    absl::StrAppend(&line, ": ", Printable(absl::StrJoin(inspected.notes(), "; ")));
  }
  return line;
}

std::string BlendTitle(const v1::JobEvent::BlendMeasured& measured) {
  if (measured.ingredients_size() == 1) return Printable(measured.ingredients(0));
  return absl::StrCat(measured.ensemble() ? "ensemble of " : "soup of ",
                      measured.ingredients_size());
}

std::string StateLine(const v1::JobEvent::StateChanged& changed, const Style& style) {
  const std::string state = v1::Job::State_Name(changed.state());
  const std::string shown = changed.state() == v1::Job::FAILED      ? style.Red(state)
                            : changed.state() == v1::Job::SUCCEEDED ? style.Green(state)
                                                                    : state;
  return changed.message().empty() ? shown
                                   : absl::StrCat(shown, ": ", Printable(changed.message()));
}

class JsonView : public WatchView {
 public:
  explicit JsonView(std::ostream& out) : out_(out) {}
  void OnEvent(const v1::JobEvent& event) override { out_ << ToJson("event", event) << std::endl; }
  void OnEnd(const v1::Job& job) override { out_ << ToJson("job", job) << std::endl; }

 private:
  std::ostream& out_;
};

class Quiet : public WatchView {
 public:
  void OnEvent(const v1::JobEvent& /*event*/) override {}
  void OnEnd(const v1::Job& /*job*/) override {}
};

}  // namespace

LiveView::LiveView(Environment& environment, const v1::Job& job)
    : environment_(environment),
      style_(environment.colour),
      metric_(MetricName(job.spec())),
      held_out_(HeldOutName(job.spec())),
      candidates_(metric_, style_) {
  for (const v1::Ingredient& ingredient : job.spec().ingredients()) {
    candidates_.NoteName(DisplayName(ingredient));
  }
}

void LiveView::OnEvent(const v1::JobEvent& event) {
  if (event.has_progress()) {
    progress_.Update(event.progress(), absl::FromUnixSeconds(event.time().seconds()) +
                                           absl::Nanoseconds(event.time().nanos()));
    return Draw();
  }
  const std::string line = EventLine(event);
  if (!line.empty()) {
    Pause();
    // At once: whoever reads a pipe or a log waits for it.
    environment_.out << line << std::endl;
  }
  Draw();
}

void LiveView::Pause() {
  if (lines_drawn_ == 0) return;
  environment_.out << "\r";
  if (lines_drawn_ > 1) environment_.out << "\x1b[" << lines_drawn_ - 1 << "A";
  environment_.out << "\x1b[J" << std::flush;
  lines_drawn_ = 0;
}

void LiveView::Leave() {
  Pause();
  if (!environment_.terminal || candidates_.size() == 0) return;
  environment_.out << candidates_.Heading() << "\n";
  for (size_t i = 0; i < candidates_.size(); ++i) environment_.out << candidates_.Line(i) << "\n";
  environment_.out << std::flush;
}

std::vector<std::string> LiveView::Block() const {
  // A line as wide as the terminal would wrap on some.
  const auto width = static_cast<size_t>(std::max(environment_.width() - 1, 10));
  std::vector<std::string> lines;
  const std::string progress = progress_.Render(width);
  if (candidates_.size() > 0) {
    const size_t others = kLinesAbove + 2 + (progress.empty() ? 0 : 1);  // heading, soup, progress
    const auto height = static_cast<size_t>(std::max(environment_.height(), 0));
    const size_t rows = std::min(candidates_.size(), height > others ? height - others : size_t{1});
    lines.push_back(candidates_.Heading(width));
    for (size_t i = candidates_.size() - rows; i < candidates_.size(); ++i) {
      lines.push_back(candidates_.Line(i, width));
    }
    lines.push_back(candidates_.Soup(width));
  }
  if (!progress.empty()) lines.push_back(progress);
  return lines;
}

void LiveView::Draw() {
  if (!environment_.terminal) return;
  const std::vector<std::string> lines = Block();
  std::string text = lines_drawn_ > 1 ? absl::StrCat("\x1b[", lines_drawn_ - 1, "A") : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "\r" : "\n", lines[i],
                    i + 1 < lines.size() ? "\x1b[K" : "\x1b[J");
  }
  environment_.out << text << std::flush;
  lines_drawn_ = lines.size();
}

std::string LiveView::EventLine(const v1::JobEvent& event) {
  switch (event.event_case()) {
    case v1::JobEvent::kStateChanged:
      return StateLine(event.state_changed(), style_);
    case v1::JobEvent::kIngredientInspected:
      candidates_.NoteName(event.ingredient_inspected().display_name());
      return InspectedLine(event.ingredient_inspected(), style_);
    case v1::JobEvent::kDataSetInspected: {
      const v1::DataSetSummary& set = event.data_set_inspected().data_set();
      return absl::StrCat("data set ", Printable(set.name()), ": ",
                          FormatCount(set.example_count()), " examples, ",
                          FormatCount(set.class_count()), " classes");
    }
    case v1::JobEvent::kBlendMeasured: {
      const v1::JobEvent::BlendMeasured& measured = event.blend_measured();
      // The candidate's line says it better, and the final table has the rest.
      if (measured.ingredients_size() > 1 && measured.data_set() == held_out_) return "";
      return absl::StrCat("measured ", BlendTitle(measured), " on ", Printable(measured.data_set()),
                          ": ", MetricTitle(metric_), " ", FormatScore(measured.score(), metric_),
                          measured.reused() ? " (known already)" : "");
    }
    case v1::JobEvent::kCandidateDecided:
      return CandidateLines(event.candidate_decided());
    case v1::JobEvent::kEpochLearned: {
      const v1::JobEvent::EpochLearned& learned = event.epoch_learned();
      return absl::StrCat("epoch ", learned.epoch(), " of ", learned.epoch_count(), ": mean loss ",
                          absl::StrFormat("%.4f", learned.mean_loss()));
    }
    case v1::JobEvent::kAttemptFailed: {
      const v1::JobEvent::AttemptFailed& failed = event.attempt_failed();
      return absl::StrCat(style_.Red("attempt failed: "), Printable(failed.task()), " (attempt ",
                          failed.attempt(), "): ", Printable(failed.message()),
                          failed.will_retry() ? "; trying again" : "");
    }
    case v1::JobEvent::kSoupWritten: {
      std::string line = "soup written:";
      for (const v1::ArtifactFile& file : event.soup_written().files()) {
        absl::StrAppend(&line, " ", Printable(file.file()), " (", FormatBytes(file.size_bytes()),
                        ")");
      }
      return line;
    }
    default:
      return "";  // bookmarks, and kinds that a newer server may send
  }
}

std::string LiveView::CandidateLines(const v1::JobEvent::CandidateDecided& decided) {
  candidates_.Add(decided);
  if (environment_.terminal) return "";  // Draw() shows it
  const std::string line = candidates_.Line(candidates_.size() - 1);
  return candidates_.size() > 1 ? line : absl::StrCat(candidates_.Heading(), "\n", line);
}

void LiveView::OnEnd(const v1::Job& job) {
  const std::string report = FormatReport(job.report(), style_);
  if (!report.empty()) environment_.out << "\n" << report << std::flush;
}

std::unique_ptr<WatchView> MakeWatchView(Environment& environment, const v1::Job& job, bool json,
                                         bool quiet) {
  if (json) return std::make_unique<JsonView>(environment.out);
  if (quiet) return std::make_unique<Quiet>();
  return std::make_unique<LiveView>(environment, job);
}

}  // namespace stockpot::cli
