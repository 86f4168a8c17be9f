// Measures with a bar: what they find, what they leave out, and what they keep for the next one.
#include <filesystem>

#include "tests/server/worker/session/measurer_test.h"

namespace stockpot {
namespace {

class BarTest : public MeasurerTest {
 protected:
  worker::v1::Task WithBar(worker::v1::Task task, double number, bool ties_win = false) {
    worker::v1::Bar* bar = task.mutable_measure()->mutable_bar();
    bar->set_metric(v1::EvaluationPlan::TOP1);
    bar->set_number(number);
    bar->set_ties_win(ties_win);
    return task;
  }
};

TEST_F(BarTest, WhatClearsItIsMeasuredAsWithoutOne) {
  const auto task = BlurredTask({0, 1});
  const TaskOutcome plain = Run(task);
  const auto correct = static_cast<double>(plain.result.measured().top1_correct());
  ASSERT_GT(correct, 0);
  ExpectSame(Run(WithBar(task, correct - 1)), plain);
  ExpectSame(Run(WithBar(task, correct, /*ties_win=*/true)), plain);
}

TEST_F(BarTest, WhatDoesNotClearItGivesNoScoreHoweverLateThatIsKnown) {
  const auto task = BlurredTask({0, 1});
  const TaskOutcome plain = Run(task);
  const auto correct = static_cast<double>(plain.result.measured().top1_correct());
  // Decided by the last example, and by the first batch of 4.
  for (const double bar : {correct, 10.0}) {
    const TaskOutcome found = Run(WithBar(task, bar));
    ASSERT_TRUE(found.result.has_not_better()) << found.result.DebugString();
    EXPECT_EQ(found.result.not_better().example_count(), 10);
    EXPECT_LE(found.result.not_better().examples_evaluated(), 10);
    EXPECT_TRUE(found.examples.empty());
  }
  EXPECT_EQ(Run(WithBar(task, 10.0)).result.not_better().examples_evaluated(), 4)
      << "ten right of ten cannot be exceeded";
}

TEST_F(BarTest, MarginsOfOthersSayWhatToLookAtFirst) {
  auto single = BlurredTask({0});
  const auto soup = BlurredTask({0, 1});
  const TaskOutcome plain = Run(soup);
  const int64_t correct = plain.result.measured().top1_correct();
  ASSERT_LT(correct, 10);
  single.set_key("single");
  single.mutable_measure()->set_keep_margins(true);
  Run(single);
  ASSERT_TRUE(std::filesystem::exists(sweep_ / "cache/margins"));

  // The soup's own margins would be the best of orders.
  auto kept = soup;
  kept.set_key("soup");
  kept.mutable_measure()->set_keep_margins(true);
  Run(kept);
  auto task = WithBar(soup, static_cast<double>(correct));
  task.mutable_measure()->set_batch_size(1);
  const int64_t in_order = Run(task).result.not_better().examples_evaluated();
  task.mutable_measure()->add_visiting_order_keys("soup");
  task.mutable_measure()->add_visiting_order_keys("never kept");
  const int64_t hardest_first = Run(task).result.not_better().examples_evaluated();
  EXPECT_EQ(hardest_first, 10 - correct) << "as many as are wrong prove it";
  EXPECT_GT(in_order, hardest_first);
}

TEST_F(BarTest, DamagedMarginsChangeNothing) {
  auto soup = BlurredTask({0, 1});
  const TaskOutcome plain = Run(soup);
  soup.set_key("soup");
  soup.mutable_measure()->set_keep_margins(true);
  Run(soup);
  for (const auto& file : std::filesystem::directory_iterator(sweep_ / "cache/margins")) {
    if (file.path().extension() == ".logits") std::filesystem::resize_file(file.path(), 4100);
  }
  auto task = WithBar(soup, 0);
  task.mutable_measure()->add_visiting_order_keys("soup");
  ExpectSame(Run(task), plain);
}

TEST_F(BarTest, AMetricOfAnotherReleaseIsRefused) {
  auto task = WithBar(BlurredTask({0, 1}), 3);
  task.mutable_measure()->mutable_bar()->set_metric(static_cast<v1::EvaluationPlan::Metric>(99));
  ReasonOf(task, absl::StatusCode::kInvalidArgument, "unknown metric 99");
}

}  // namespace
}  // namespace stockpot
