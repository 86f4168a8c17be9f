// Kept logits, and what is made of them: ensembles and gaps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/server/worker/session/measurer_test.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using Code = absl::StatusCode;

// ---- Kept logits and ensembles ----

TEST_F(MeasurerTest, KeepingLogitsChangesNoResult) {
  auto task = BlurredTask({1});
  const TaskOutcome expected = Run(task);
  task.set_key("one");
  task.mutable_measure()->set_keep_logits(true);
  ExpectSame(Run(task), expected);
  EXPECT_EQ(KeptFiles().size(), 1u);
}

TEST_F(MeasurerTest, AnEnsembleOfOneOrOfEqualsIsItsMeasure) {
  auto task = BlurredTask({1});
  task.set_key("one");
  task.mutable_measure()->set_keep_logits(true);
  const TaskOutcome expected = Run(task);
  EXPECT_LT(expected.result.measured().top1_correct(), 10);
  const auto member = MemberOf(task, "one");
  for (const int times : {1, 2, 3}) {
    const TaskOutcome found =
        Run(EnsembleTask(task, std::vector<worker::v1::KeptLogits>(times, member)));
    EXPECT_EQ(found.result.measured().temperature(), 1);
    ExpectSame(found, expected);
  }
}

TEST_F(MeasurerTest, CountsWhatRanAndWhatWasKept) {
  WorkCounters counters;
  runner_ = MakeRunner(sweep_, nullptr, &counters);
  const auto first = BlurredTask({0}), second = BlurredTask({2});
  const int64_t examples = Run(first).result.measured().example_count();
  const int64_t before = counters.Read().examples;
  EXPECT_EQ(before, examples);
  const auto task = EnsembleTask(first, {MemberOf(first, "a"), MemberOf(second, "b")});
  Run(task);
  EXPECT_EQ(counters.Read().examples, before + 2 * examples) << "the members; logits are no model";
  EXPECT_EQ(counters.Read().caches[kLogitsCache].misses, 2);
  Run(task);
  EXPECT_EQ(counters.Read().examples, before + 2 * examples);
  EXPECT_EQ(counters.Read().caches[kLogitsCache].hits, 2);
  EXPECT_EQ(counters.Read().caches[kLogitsCache].misses, 2);
  runner_.reset();
}

TEST_F(MeasurerTest, MembersThatAreGoneOrDamagedAreMadeAgain) {
  const auto first = BlurredTask({0}), second = BlurredTask({2});
  auto task = EnsembleTask(first, {MemberOf(first, "a"), MemberOf(second, "b")});
  task.mutable_measure_ensemble()->add_coefficients(0.25);
  task.mutable_measure_ensemble()->add_coefficients(0.75);
  const auto run = [&](std::vector<int64_t>* done, int64_t expected_total) {
    auto outcome = runner_->Run(task, [&, expected_total](int64_t now, int64_t total) {
      if (now > 0) {
        EXPECT_EQ(total, expected_total);
      }
      done->push_back(now);
      return absl::OkStatus();
    });
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_TRUE(std::is_sorted(done->begin(), done->end()));
    return *std::move(outcome);
  };
  std::vector<int64_t> done;
  const TaskOutcome made = run(&done, 30);
  EXPECT_EQ(done.back(), 30) << "two members and the ensemble";
  ASSERT_EQ(KeptFiles().size(), 2u);

  done.clear();
  ExpectSame(run(&done, 10), made);
  EXPECT_EQ(done.back(), 10) << "nothing is measured again";

  std::filesystem::resize_file(KeptFiles()[0], 4096 + 119);
  done.clear();
  ExpectSame(run(&done, 20), made);
  std::fstream damaged(KeptFiles()[1], std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekg(4096 + 7);
  const int byte = damaged.get();
  damaged.seekp(4096 + 7);
  damaged.put(static_cast<char>(byte ^ 1));
  damaged.close();
  done.clear();
  ExpectSame(run(&done, 20), made);
  done.clear();
  ExpectSame(run(&done, 10), made);
}

TEST_F(MeasurerTest, AnEnsembleOfLinearModelsIsTheirSoup) {
  // good_0 and good_2 have few digits, so that their mean is exact: logits and weights are averaged
  // alike but for rounding.
  const auto first = BlurredTask({0}), second = BlurredTask({2});
  const auto soup = Run(BlurredTask({0, 2})).result.measured();
  const auto ensemble =
      Run(EnsembleTask(first, {MemberOf(first, "a"), MemberOf(second, "b")})).result.measured();
  EXPECT_EQ(ensemble.top1_correct(), soup.top1_correct());
  EXPECT_NEAR(ensemble.cross_entropy_sum(), soup.cross_entropy_sum(), 1e-5);
}

TEST_F(MeasurerTest, AFittedTemperatureIsTheBest) {
  const auto task = BlurredTask({0});
  auto ensemble = EnsembleTask(task, {MemberOf(task, "a")});
  ensemble.mutable_measure_ensemble()->set_fit_temperature(true);
  const auto fitted = Run(ensemble).result.measured();
  ensemble.mutable_measure_ensemble()->set_fit_temperature(false);
  for (const double factor : {0.9, 1.0, 1.1}) {
    ensemble.mutable_measure_ensemble()->set_temperature(fitted.temperature() * factor);
    const auto other = Run(ensemble).result.measured();
    EXPECT_EQ(other.top1_correct(), fitted.top1_correct());
    if (factor == 1.0) {
      EXPECT_EQ(other.SerializeAsString(), fitted.SerializeAsString());
    } else {
      EXPECT_GT(other.cross_entropy_sum(), fitted.cross_entropy_sum());
    }
  }
}

TEST_F(MeasurerTest, RegressionsAreAveraged) {
  auto task = MeasureTask({0}, "scalar.pt");
  task.mutable_measure()->set_problem(v1::EvaluationPlan::REGRESSION);
  UseData(&task, "numbers.safetensors",
          {MakeTensor("labels", DType::kFloat64, {2}, std::vector<double>{1, 2}),
           MakeTensor("x", DType::kFloat32, {2, 4}, std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0})});
  auto other = task;
  UseWeights(&task, "a.safetensors",
             {MakeTensor("weight", DType::kFloat32, {4}, std::vector<float>{1, 2, 0, 0})});
  UseWeights(&other, "b.safetensors",
             {MakeTensor("weight", DType::kFloat32, {4}, std::vector<float>{2, 6, 0, 0})});
  const TaskOutcome found = Run(EnsembleTask(task, {MemberOf(task, "a"), MemberOf(other, "b")}));
  EXPECT_THAT(FloatsOf(found.examples), ElementsAre(1.5f, 4));
  EXPECT_EQ(found.result.measured().squared_error_sum(), 0.25 + 4);
}

TEST_F(MeasurerTest, EnsemblesThatCannotBeAreRefused) {
  const auto task = BlurredTask({0});
  EXPECT_EQ(ReasonOf(EnsembleTask(task, {}), Code::kInvalidArgument, "no members"), "");
  auto coefficients = EnsembleTask(task, {MemberOf(task, "a")});
  coefficients.mutable_measure_ensemble()->add_coefficients(1);
  coefficients.mutable_measure_ensemble()->add_coefficients(1);
  EXPECT_EQ(ReasonOf(coefficients, Code::kInvalidArgument, "2 coefficients"), "");
  EXPECT_EQ(ReasonOf(EnsembleTask(task, {MemberOf(task, "")}), Code::kInvalidArgument,
                     "member 0: logits are kept under a key"),
            "");
  auto keep = task;
  keep.mutable_measure()->set_keep_logits(true);
  EXPECT_EQ(ReasonOf(keep, Code::kInvalidArgument, "it is empty"), "");
  auto gone = MemberOf(task, "gone");
  gone.mutable_blend()->mutable_ingredients(0)->set_digest(std::string(64, '0'));
  EXPECT_EQ(ReasonOf(EnsembleTask(task, {gone}), Code::kFailedPrecondition, "member 0"),
            "CHECKPOINT_CHANGED");
}

TEST_F(MeasurerTest, LanguageModelsKeepNoLogits) {
  auto task = MeasureTask({0}, "bigram.pt");
  task.set_key("a");
  task.mutable_measure()->set_problem(v1::EvaluationPlan::LANGUAGE_MODEL);
  UseData(&task, "tokens.safetensors",
          {MakeTensor("labels", DType::kInt64, {1, 1}, std::vector<int64_t>{1}),
           MakeTensor("x", DType::kInt64, {1, 1}, std::vector<int64_t>{0})});
  const std::string says = "a language model's logits are not kept";
  EXPECT_EQ(ReasonOf(EnsembleTask(task, {MemberOf(task, "a")}), Code::kInvalidArgument, says), "");
  task.mutable_measure()->set_keep_logits(true);
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, says), "");
}

// ---- Gaps ----

class GapTaskTest : public MeasurerTest {
 protected:
  // Between good_0 and good_2, with soups at a ± step.
  worker::v1::Task GapTask(double a, double step) {
    const auto first = BlurredTask({0}), second = BlurredTask({2}), both = BlurredTask({0, 2});
    worker::v1::Task task;
    worker::v1::MeasureGap* gap = task.mutable_measure_gap();
    *gap->mutable_measure() = WithoutBlend(first);
    *gap->mutable_first() = MemberOf(first, "a");
    *gap->mutable_second() = MemberOf(second, "b");
    for (const double at : {a - step, a, a + step}) {
      worker::v1::Blend* soup = gap->add_soups();
      *soup = both.measure().blend();
      soup->add_coefficients(1 - at);
      soup->add_coefficients(at);
    }
    gap->set_coefficient(a);
    gap->set_step(step);
    gap->set_batch_size(4);
    return task;
  }

  // Mean loss of β·logits of one soup of the task.
  double LossOf(const worker::v1::Task& gap, int soup, double inverse_temperature) {
    auto task = BlurredTask({0});
    *task.mutable_measure()->mutable_blend() = gap.measure_gap().soups(soup);
    auto ensemble = EnsembleTask(task, {MemberOf(task, "soup " + std::to_string(soup))});
    ensemble.mutable_measure_ensemble()->set_temperature(1 / inverse_temperature);
    return Run(ensemble).result.measured().cross_entropy_sum() / 10;
  }
};

TEST_F(GapTaskTest, TermsAreThoseOfTheSoupsAlone) {
  const auto task = GapTask(0.25, 0.125);
  std::vector<int64_t> done;
  const auto outcome = runner_->Run(task, [&](int64_t now, int64_t total) {
    if (now > 0) {
      EXPECT_EQ(total, 50) << "two ends and three soups of ten examples";
    }
    done.push_back(now);
    return absl::OkStatus();
  });
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 50);
  const worker::v1::GapFound& gap = outcome->result.gap();
  const double scale = gap.inverse_temperature();
  const double before = LossOf(task, 0, scale), soup = LossOf(task, 1, scale),
               after = LossOf(task, 2, scale);
  EXPECT_NEAR(gap.soup_loss(), soup, 1e-12);
  EXPECT_LT(soup, LossOf(task, 1, scale * 1.01));
  EXPECT_LT(soup, LossOf(task, 1, scale / 1.01));
  EXPECT_NEAR(gap.second_derivative(), (before + after - 2 * soup) / (0.125 * 0.125), 1e-10);
  EXPECT_GT(gap.variance(), 0);
  EXPECT_DOUBLE_EQ(gap.approximation(),
                   0.25 * 0.75 / 2 * (scale * scale * gap.variance() - gap.second_derivative()));
  // The model is linear: the ensemble is the soup.
  EXPECT_NEAR(gap.ensemble_loss(), gap.soup_loss(), 1e-6);
}

TEST_F(GapTaskTest, SoupsAreNotKeptAndTheEndsAre) {
  const auto task = GapTask(0.5, 0.125);
  const TaskOutcome first = Run(task);
  EXPECT_EQ(KeptFiles().size(), 2u);
  EXPECT_EQ(Run(task).result.SerializeAsString(), first.result.SerializeAsString());
}

TEST_F(GapTaskTest, TasksThatCannotBeAreRefused) {
  auto task = GapTask(0.5, 0);
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "a positive step"), "");
  task = GapTask(0.5, 0.25);
  task.mutable_measure_gap()->mutable_soups()->RemoveLast();
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "not 2"), "");
  task = GapTask(0.5, 0.25);
  task.mutable_measure_gap()->mutable_measure()->set_problem(v1::EvaluationPlan::REGRESSION);
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "CLASSIFICATION alone"), "");
  task = GapTask(0.5, 0.25);
  const auto cancelled = runner_->Run(task, [](int64_t done, int64_t) {
    return done >= 40 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
}

}  // namespace
}  // namespace stockpot
