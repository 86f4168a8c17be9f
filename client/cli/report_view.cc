#include "client/cli/report_view.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/table.h"

namespace stockpot::cli {
namespace {

constexpr size_t kScoreWidth = 24;

bool IsTop5(absl::string_view metric) { return absl::AsciiStrToUpper(metric) == "TOP5"; }
bool IsCrossEntropy(absl::string_view metric) {
  return absl::AsciiStrToUpper(metric) == "CROSS_ENTROPY";
}

const v1::Score* FindScore(const v1::BlendResult& blend, const std::string& data_set) {
  for (const v1::DataSetScore& score : blend.scores()) {
    if (score.data_set() == data_set) return &score.score();
  }
  return nullptr;
}

// Higher is better, whatever the metric.
double Goodness(const v1::Score& score, absl::string_view metric) {
  if (IsCrossEntropy(metric)) return -score.cross_entropy();
  const auto count = static_cast<double>(score.example_count());
  return static_cast<double>(IsTop5(metric) ? score.top5_correct() : score.top1_correct()) / count;
}

std::string BlendTitle(const std::string& kind) { return absl::StrReplaceAll(kind, {{"_", " "}}); }

std::string CountOf(int64_t count, absl::string_view noun) {
  return absl::StrCat(FormatCount(count), " ", noun, count == 1 ? "" : "s");
}

void AddDataSetRow(const v1::ReportResult& result, const v1::DataSetSummary& set, Table& table) {
  std::vector<std::string> cells = {set.name(), FormatCount(set.example_count())};
  std::vector<std::optional<double>> goodness(cells.size());
  std::optional<double> best;
  for (const v1::BlendResult& blend : result.blends()) {
    const v1::Score* score = FindScore(blend, set.name());
    const bool known = score != nullptr && score->example_count() > 0;
    cells.push_back(known ? FormatScore(*score, result.metric()) : "-");
    goodness.push_back(known ? std::optional(Goodness(*score, result.metric())) : std::nullopt);
    if (known && (!best || *goodness.back() > *best)) best = goodness.back();
  }
  std::vector<bool> bold;
  for (const auto& value : goodness) bold.push_back(best.has_value() && value == best);
  table.AddRow(std::move(cells), std::move(bold));
}

std::string ScoreTable(const v1::ReportResult& result, const Style& style) {
  if (result.blends_size() == 0) return "";
  std::vector<std::string> heading = {MetricTitle(result.metric()), "examples"};
  for (const v1::BlendResult& blend : result.blends()) heading.push_back(BlendTitle(blend.kind()));
  Table table(std::move(heading));
  for (const v1::DataSetSummary& set : result.data_sets()) AddDataSetRow(result, set, table);
  return table.Render(style);
}

std::string IngredientLines(const v1::ReportResult& result) {
  std::string text;
  for (const v1::BlendResult& blend : result.blends()) {
    // The uniform soup holds all: no need to list them.
    if (blend.kind() == "uniform") continue;
    absl::StrAppend(&text, BlendTitle(blend.kind()), ": ",
                    blend.ingredients_size() == 1
                        ? ""
                        : absl::StrCat(CountOf(blend.ingredients_size(), "ingredient"), ": "),
                    Printable(absl::StrJoin(blend.ingredients(), ", ")), "\n");
  }
  for (const v1::IngredientResult& ingredient : result.ingredients()) {
    const std::string name = Printable(ingredient.display_name());
    if (!ingredient.skipped_because().empty()) {
      absl::StrAppend(&text, "left out: ", name, ": ", Printable(ingredient.skipped_because()),
                      "\n");
    }
    if (!ingredient.identical_to().empty()) {
      absl::StrAppend(&text, "note: ", name, " holds the same weights as ",
                      Printable(ingredient.identical_to()), "\n");
    }
  }
  return text;
}

std::string ReuseLine(const v1::ReportCost& cost) {
  if (cost.evaluations_reused() == 0) return "";
  return absl::StrCat("reused: ", CountOf(cost.evaluations_reused(), "evaluation"), " of ",
                      FormatCount(cost.evaluations_run() + cost.evaluations_reused()), ", ",
                      CountOf(cost.examples_reused(), "example"), ", ",
                      FormatSeconds(cost.worker_seconds_reused()), " of workers' time\n");
}

}  // namespace

std::string FormatScore(const v1::Score& score, absl::string_view metric) {
  if (score.example_count() <= 0) return "-";
  if (IsCrossEntropy(metric)) return absl::StrFormat("%.4f", score.cross_entropy());
  const int64_t correct = IsTop5(metric) ? score.top5_correct() : score.top1_correct();
  return absl::StrFormat(
      "%.2f %% (%d/%d)",
      100.0 * static_cast<double>(correct) / static_cast<double>(score.example_count()), correct,
      score.example_count());
}

std::string MetricTitle(absl::string_view metric) {
  if (IsCrossEntropy(metric)) return "cross-entropy";
  return IsTop5(metric) ? "top-5" : "top-1";
}

std::string MetricName(const v1::JobSpec& spec) {
  const auto metric = spec.evaluation().metric();
  return metric == v1::EvaluationPlan::METRIC_UNSPECIFIED ? "TOP1"
                                                          : v1::EvaluationPlan::Metric_Name(metric);
}

std::string FormatReport(const v1::Report& report, const Style& style) {
  const v1::ReportResult& result = report.result();
  std::string text = absl::StrCat(ScoreTable(result, style), IngredientLines(result));
  if (!result.explanation().empty()) {
    absl::StrAppend(&text, style.Bold(Printable(result.explanation())), "\n");
  }
  if (!result.stopped_because().empty()) {
    absl::StrAppend(&text, "stopped because: ", Printable(result.stopped_because()), "\n");
  }
  return absl::StrCat(text, ReuseLine(report.cost()));
}

std::string CandidateHeading(absl::string_view metric, size_t name_width, const Style& style) {
  return style.Dim(absl::StrCat(
      PadLeft("#", 9), "  ", PadRight("candidate", name_width), "  ",
      PadRight(absl::StrCat("held-out ", MetricTitle(metric)), kScoreWidth), "  soup"));
}

std::string CandidateLine(const v1::JobEvent::CandidateDecided& decided, absl::string_view metric,
                          size_t name_width, const Style& style) {
  const v1::CandidateStep& step = decided.step();
  const std::string position = absl::StrCat(decided.position(), "/", decided.candidate_count());
  return absl::StrCat(PadLeft(position, 9), "  ", PadRight(Printable(step.candidate()), name_width),
                      "  ", PadRight(FormatScore(step.score(), metric), kScoreWidth), "  ",
                      PadLeft(absl::StrCat(step.soup_size()), 4), "  ",
                      step.accepted() ? style.Green("✓ accepted") : style.Dim("✗ rejected"));
}

}  // namespace stockpot::cli
