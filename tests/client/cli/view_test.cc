#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/progress_line.h"
#include "client/cli/report_view.h"
#include "client/cli/text.h"
#include "client/cli/watch_view.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

constexpr char kResult[] = R"(
  metric: "TOP1"
  data_sets { name: "held_out" example_count: 2500 }
  data_sets { name: "test" example_count: 2000 }
  blends { kind: "best_single" ingredients: "model_05"
    scores { data_set: "held_out" score { example_count: 2500 top1_correct: 1780 } }
    scores { data_set: "test" score { example_count: 2000 top1_correct: 1400 } } }
  blends { kind: "uniform" ingredients: "model_05" ingredients: "model_03" ingredients: "model_07"
    scores { data_set: "held_out" score { example_count: 2500 top1_correct: 1750 } }
    scores { data_set: "test" score { example_count: 2000 top1_correct: 1433 } } }
  blends { kind: "greedy" ingredients: "model_05" ingredients: "model_03"
    scores { data_set: "held_out" score { example_count: 2500 top1_correct: 1800 } } }
  ingredients { display_name: "model_09" skipped_because: "holds NaN" }
  ingredients { display_name: "model_03" identical_to: "model_01" }
  chosen: "greedy"
  explanation: "Gain: the greedy soup of 2 is 20 examples better."
)";

v1::Report ReportOf(const std::string& result) {
  v1::Report report;
  *report.mutable_result() = Parse<v1::ReportResult>(result);
  return report;
}

TEST(ReportView, ShowsBestSingleUniformAndGreedyOnEverySet) {
  EXPECT_EQ(FormatReport(ReportOf(kResult), Style(false)),
            R"(top-1     examples  best single          uniform              greedy
held_out  2,500     71.20 % (1780/2500)  70.00 % (1750/2500)  72.00 % (1800/2500)
test      2,000     70.00 % (1400/2000)  71.65 % (1433/2000)  -
best single: model_05
greedy: 2 ingredients: model_05, model_03
left out: model_09: holds NaN
note: model_03 holds the same weights as model_01
Gain: the greedy soup of 2 is 20 examples better.
)");
}

TEST(ReportView, OnATerminalTheBestOfALineIsBold) {
  const std::string text = FormatReport(ReportOf(kResult), Style(true));
  EXPECT_THAT(text, HasSubstr("\x1b[1m72.00 % (1800/2500)\x1b[0m"));
  EXPECT_THAT(text, HasSubstr("\x1b[1m71.65 % (1433/2000)\x1b[0m"));
}

TEST(ReportView, CrossEntropyIsBestWhenLow) {
  const v1::Report report = ReportOf(R"(
    metric: "CROSS_ENTROPY" data_sets { name: "h" example_count: 10 }
    blends { kind: "uniform"
      scores { data_set: "h" score { example_count: 10 cross_entropy: 0.5 } } }
    blends { kind: "greedy"
      scores { data_set: "h" score { example_count: 10 cross_entropy: 0.25 } } })");
  EXPECT_THAT(FormatReport(report, Style(true)), HasSubstr("\x1b[1m0.2500\x1b[0m"));
}

TEST(ReportView, NothingKnownIsNothingSaid) { EXPECT_EQ(FormatReport({}, Style(true)), ""); }

TEST(ReportView, SaysWhyItStoppedAndWhatWasReused) {
  v1::Report report;
  report.mutable_result()->set_stopped_because("max_evaluations: 3 of 3 passes were made");
  report.mutable_cost()->set_evaluations_run(2);
  report.mutable_cost()->set_evaluations_reused(1);
  report.mutable_cost()->set_examples_reused(2500);
  report.mutable_cost()->set_worker_seconds_reused(67);
  EXPECT_EQ(FormatReport(report, Style(false)),
            "stopped because: max_evaluations: 3 of 3 passes were made\n"
            "reused: 1 evaluation of 3, 2,500 examples, 1:07 of workers' time\n");
}

TEST(ProgressLine, ShowsShareRateAndTimeLeftAndFitsTheTerminal) {
  ProgressLine line;
  EXPECT_EQ(line.Render(80), "");
  v1::Progress progress;
  progress.set_tasks_total(30);
  progress.set_examples_total(100'000);
  line.Update(progress, absl::FromUnixSeconds(100));
  progress.set_tasks_done(12);
  progress.set_examples_done(40'000);
  progress.set_activity("candidate 4 of 11");
  line.Update(progress, absl::FromUnixSeconds(102));
  EXPECT_EQ(
      line.Render(120),
      "[########------------]  40 %  12/30 tasks  20,000 examples/s  0:03 left  candidate 4 of 11");
  EXPECT_EQ(line.Render(30), "[########------------]  40 % …");
  progress.set_estimated_seconds_left(3725);
  line.Update(progress, absl::FromUnixSeconds(103));
  EXPECT_THAT(line.Render(120), HasSubstr("1:02:05 left"));
}

class LiveViewTest : public testing::Test {
 protected:
  std::string Show(bool terminal, const std::vector<std::string>& events, int height = 24) {
    std::ostringstream out;
    Environment environment(out, out, interruption_);
    environment.terminal = terminal;
    environment.height = [height] { return height; };
    environment.width = [] { return 61; };
    const auto job = Parse<v1::Job>(R"(spec { ingredients { uri: "/a/model_05" } })");
    LiveView view(environment, job);
    for (const std::string& event : events) view.OnEvent(Parse<v1::JobEvent>(event));
    view.Leave();
    return out.str();
  }

  Interruption interruption_;
  const std::vector<std::string> events_ = {
      "sequence: 1 state_changed { state: RUNNING }",
      R"(progress { tasks_done: 1 tasks_total: 4 })",
      R"(sequence: 2 blend_measured { ingredients: "model_05" data_set: "held_out" reused: true
         score { example_count: 10 top1_correct: 7 } })",
      R"(sequence: 3 candidate_decided { position: 1 candidate_count: 2 step { candidate: "model_05"
         accepted: true soup_size: 1 score { example_count: 10 top1_correct: 7 } } })",
      R"(sequence: 4 candidate_decided { position: 2 candidate_count: 2 step { candidate: "model_03"
         soup_size: 1 score { example_count: 10 top1_correct: 6 } } })",
      "bookmark { sequence: 4 }"};
};

TEST_F(LiveViewTest, WritesPlainLinesOfEventsOnlyWhereThereIsNoTerminal) {
  EXPECT_EQ(Show(false, events_),
            R"(RUNNING
measured model_05 on held_out: top-1 70.00 % (7/10) (known already)
        #  candidate  held-out top-1            soup
      1/2  model_05   70.00 % (7/10)               1  ✓ accepted
      2/2  model_03   60.00 % (6/10)               1  ✗ rejected
)");
}

TEST_F(LiveViewTest, RewritesOneLineOfProgressOnATerminal) {
  const std::string bar = "\r[#####---------------]  25 %  1/4 tasks\x1b[J";
  EXPECT_EQ(Show(true, {events_[0], events_[1]}), "RUNNING\n" + bar + "\r\x1b[J");
  EXPECT_THAT(Show(true, events_), HasSubstr(bar + "\r\x1b[Jmeasured model_05"));
}

// What a terminal shows last before the job's end: what was written after the cursor went up.
std::vector<std::string> LastBlock(const std::string& written) {
  const size_t end = written.rfind("\r\x1b[");  // Leave()
  const size_t begin = written.rfind('\r', end - 1) + 1;
  return absl::StrSplit(
      absl::StrReplaceAll(written.substr(begin, end - begin), {{"\x1b[K", ""}, {"\x1b[J", ""}}),
      '\n');
}

std::string Decided(int position, const std::string& step) {
  return absl::StrCat("candidate_decided { position: ", position, " candidate_count: 9 step { ",
                      "candidate: 'model_0", position, "' ", step, " } }");
}

TEST_F(LiveViewTest, OnATerminalTheNewestCandidatesThatFitAreRewritten) {
  const std::vector<std::string> events = {
      events_[1],
      Decided(1, "accepted: true soup_size: 1 score { example_count: 10 top1_correct: 7 }"),
      Decided(2, "accepted: true soup_size: 2 score { example_count: 10 top1_correct: 8 }"),
      Decided(3, "soup_size: 2 score { example_count: 10 top1_correct: 6 }"),
      Decided(4, "soup_size: 2 not_better_than { example_count: 10 top1_correct: 8 }"),
      Decided(5, "soup_size: 2 passed_over: true"),
  };
  const std::string shown = Show(true, events, /*height=*/7);
  EXPECT_THAT(LastBlock(shown),
              testing::ElementsAre("        #  candidate  held-out top-1            soup",
                                   "      3/9  model_03   60.00 % (6/10)               2  ✗ rej…",
                                   "      4/9  model_04   ≤ 80.00 % (8/10)             2  ✗ dro…",
                                   "      5/9  model_05   -                            2  - pas…",
                                   "soup of 2: 80.00 % (8/10); it began with 70.00 % (7/10)",
                                   "[#####---------------]  25 %  1/4 tasks"))
      << shown;
  // At the end all of them stay, whole.
  EXPECT_THAT(shown, testing::EndsWith(
                         R"(        #  candidate  held-out top-1            soup
      1/9  model_01   70.00 % (7/10)               1  ✓ accepted
      2/9  model_02   80.00 % (8/10)               2  ✓ accepted
      3/9  model_03   60.00 % (6/10)               2  ✗ rejected
      4/9  model_04   ≤ 80.00 % (8/10)             2  ✗ dropped early
      5/9  model_05   -                            2  - passed over
)")) << shown;
  EXPECT_EQ(LastBlock(Show(true, events, /*height=*/1)).size(), 4u) << "one at least";
}

TEST_F(LiveViewTest, NamesOfOthersCannotMoveTheCursor) {
  EXPECT_THAT(Show(false, {R"(ingredient_inspected { display_name: "a\033[2Jb\302\205" })"}),
              HasSubstr("ingredient a?[2Jb??\n"));
}

TEST(Text, CountsBytesSecondsAndWidths) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1'234'567), "1,234,567");
  EXPECT_EQ(FormatCount(-123'456), "-123,456");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1'500'000), "1.5 MB");
  EXPECT_EQ(FormatBytes(98'765'432'100), "99 GB");
  EXPECT_EQ(FormatSeconds(6.2), "0:07");
  EXPECT_EQ(FormatSeconds(1e300), "10000:00:00");
  EXPECT_EQ(DisplayWidth("✓ ä"), 3u);
  EXPECT_EQ(Truncate("✓✓✓", 2), "✓…");
  EXPECT_EQ(Truncate("ab", 2), "ab");
  EXPECT_EQ(JobName("x"), "jobs/x");
  EXPECT_EQ(JobName("jobs/x"), "jobs/x");
}

}  // namespace
}  // namespace stockpot::cli
