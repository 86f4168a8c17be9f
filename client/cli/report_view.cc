#include "client/cli/report_view.h"

#include <algorithm>
#include <optional>
#include <string>
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

struct MetricView {
  absl::string_view name, title;
  bool lower_is_better;
  // None: a rate of counts.
  double (*value)(const v1::Score&);
};

constexpr MetricView kMetrics[] = {
    {"TOP1", "top-1", false, nullptr},
    {"TOP5", "top-5", false, nullptr},
    {"CROSS_ENTROPY", "cross-entropy", true, [](const v1::Score& s) { return s.cross_entropy(); }},
    {"MEAN_PER_CLASS", "mean per class", false,
     [](const v1::Score& s) { return s.mean_per_class(); }},
    {"F1_BINARY", "F1", false, [](const v1::Score& s) { return s.f1_binary(); }},
    {"F1_MACRO", "macro F1", false, [](const v1::Score& s) { return s.f1_macro(); }},
    {"MATTHEWS", "Matthews", false, [](const v1::Score& s) { return s.matthews(); }},
    {"MEAN_OF_ACCURACY_AND_F1", "accuracy and F1", false,
     [](const v1::Score& s) { return (s.top1() + s.f1_binary()) / 2; }},
    {"PEARSON", "Pearson", false, [](const v1::Score& s) { return s.pearson(); }},
    {"SPEARMAN", "Spearman", false, [](const v1::Score& s) { return s.spearman(); }},
    {"MEAN_OF_PEARSON_AND_SPEARMAN", "Pearson and Spearman", false,
     [](const v1::Score& s) { return (s.pearson() + s.spearman()) / 2; }},
    {"MEAN_SQUARED_ERROR", "squared error", true,
     [](const v1::Score& s) { return s.mean_squared_error(); }},
    {"PERPLEXITY", "perplexity", true, [](const v1::Score& s) { return s.perplexity(); }},
};

// A newer server's metric is shown as the first.
const MetricView& ViewOf(absl::string_view metric) {
  const std::string name = absl::AsciiStrToUpper(metric);
  for (const MetricView& view : kMetrics) {
    if (view.name == name) return view;
  }
  return kMetrics[0];
}

int64_t CorrectOf(const v1::Score& score, const MetricView& view) {
  return view.name == "TOP5" ? score.top5_correct() : score.top1_correct();
}

// Of a set whose examples have weights.
double WeightedShareOf(const v1::Score& score, const MetricView& view) {
  return view.name == "TOP5" ? score.top5() : score.top1();
}

const v1::Score* FindScore(const v1::BlendResult& blend, const std::string& data_set) {
  for (const v1::DataSetScore& score : blend.scores()) {
    if (score.data_set() == data_set) return &score.score();
  }
  return nullptr;
}

// Higher is better, whatever the metric.
double Goodness(const v1::Score& score, absl::string_view metric) {
  const MetricView& view = ViewOf(metric);
  if (view.value == nullptr && score.has_weight_sum()) return WeightedShareOf(score, view);
  if (view.value == nullptr) return static_cast<double>(CorrectOf(score, view));
  return view.lower_is_better ? -view.value(score) : view.value(score);
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

// What it did to the scores; nothing in FLOAT32.
std::string PrecisionLine(const v1::ReportResult& result) {
  const v1::PrecisionResult& found = result.precision();
  std::vector<std::string> changes;
  for (int i = 0; i < std::min(found.scores_size(), found.float32_scores_size()); ++i) {
    changes.push_back(absl::StrCat(Printable(found.scores(i).data_set()), " ",
                                   FormatScore(found.scores(i).score(), result.metric()),
                                   " against ",
                                   FormatScore(found.float32_scores(i).score(), result.metric())));
  }
  if (changes.empty()) return "";
  return absl::StrCat("measured in ", Printable(found.precision()),
                      ", and the soup in FLOAT32 too: ", absl::StrJoin(changes, ", "), "\n");
}

std::string EarlyLine(const v1::ReportCost& cost) {
  if (cost.evaluations_stopped_early() == 0) return "";
  return absl::StrCat("stopped early, since the rest could not change the decision: ",
                      CountOf(cost.evaluations_stopped_early(), "evaluation"), ", ",
                      CountOf(cost.examples_spared(), "example"), " spared\n");
}

}  // namespace

std::string FormatScore(const v1::Score& score, absl::string_view metric) {
  if (score.example_count() <= 0) return "-";
  const MetricView& view = ViewOf(metric);
  if (view.value != nullptr) return absl::StrFormat("%.4f", view.value(score));
  if (score.has_weight_sum()) {
    return absl::StrFormat("%.2f %% (weighted)", 100 * WeightedShareOf(score, view));
  }
  const int64_t correct = CorrectOf(score, view);
  return absl::StrFormat(
      "%.2f %% (%d/%d)",
      100.0 * static_cast<double>(correct) / static_cast<double>(score.example_count()), correct,
      score.example_count());
}

bool IsLowerBetter(absl::string_view metric) { return ViewOf(metric).lower_is_better; }

std::string MetricTitle(absl::string_view metric) { return std::string(ViewOf(metric).title); }

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
  if (!result.headline().empty()) absl::StrAppend(&text, Printable(result.headline()), "\n");
  if (!result.stopped_because().empty()) {
    absl::StrAppend(&text, "stopped because: ", Printable(result.stopped_because()), "\n");
  }
  return absl::StrCat(text, PrecisionLine(result), ReuseLine(report.cost()),
                      EarlyLine(report.cost()));
}

}  // namespace stockpot::cli
