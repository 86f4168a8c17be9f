// What tasks do with weights: selections, coefficients, BatchNorm statistics, learning, comparing.
#include "server/worker/session/weight_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "tests/server/worker/session/worker_tasks.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using worker::v1::Task;

class WeightTasksTest : public testing::Test {
 protected:
  static TaskOutcome Run(TaskRunner* runner, const Task& task) {
    auto outcome = runner->Run(task, Unwatched);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *std::move(outcome) : TaskOutcome();
  }
  TaskOutcome Run(const Task& task) { return Run(runner_.get(), task); }

  // "CODE: message" of a task that must fail.
  std::string Failure(const Task& task) {
    const auto outcome = runner_->Run(task, Unwatched);
    EXPECT_FALSE(outcome.ok());
    return absl::StatusCodeToString(outcome.status().code()) + ": " +
           std::string(outcome.status().message());
  }

  static void ExpectSame(const TaskOutcome& found, const TaskOutcome& expected) {
    EXPECT_EQ(found.result.ShortDebugString(), expected.result.ShortDebugString());
    EXPECT_EQ(found.examples, expected.examples);
  }

  worker::v1::CheckpointReference Reference(const std::string& name) {
    worker::v1::CheckpointReference reference;
    reference.set_uri(sweep_ / name);
    reference.set_digest(
        Run(InspectCheckpointTaskOf(reference.uri())).result.checkpoint().digest());
    return reference;
  }

  worker::v1::CheckpointReference Write(const std::string& name,
                                        const std::vector<MadeTensor>& tensors) {
    std::filesystem::remove(sweep_ / name);
    WriteSafetensors(sweep_ / name, tensors);
    return Reference(name);
  }

  Task Measure(const std::vector<worker::v1::CheckpointReference>& ingredients,
               const std::string& model = "linear.pt") {
    Task task = MeasureTaskOf(sweep_, runner_.get(), {}, model);
    for (const auto& ingredient : ingredients) {
      *task.mutable_measure()->mutable_blend()->add_ingredients() = ingredient;
    }
    return task;
  }

  Task WriteSoup(const worker::v1::Blend& blend) {
    Task task;
    *task.mutable_write_soup()->mutable_blend() = blend;
    task.mutable_write_soup()->set_folder(sweep_.folder().path());
    task.mutable_write_soup()->set_max_shard_bytes(1 << 20);
    return task;
  }

  // The soup of a blend, opened.
  std::shared_ptr<const StateDict> Soup(const Task& write) {
    Run(write);
    const auto opened = OpenCheckpoint(sweep_ / "soup.safetensors", {});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }

  static std::vector<float> Floats(const StateDict& state_dict, const std::string& name) {
    for (size_t i = 0; i < state_dict.tensors().size(); ++i) {
      if (state_dict.tensors()[i].name != name) continue;
      std::vector<char> scratch;
      const auto bytes = *state_dict.Read(i, &scratch);
      std::vector<float> floats(bytes.size() / sizeof(float));
      std::memcpy(floats.data(), bytes.data(), bytes.size());
      return floats;
    }
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }

  static std::vector<std::string> Names(const StateDict& state_dict) {
    std::vector<std::string> names;
    for (const TensorInfo& tensor : state_dict.tensors()) names.push_back(tensor.name);
    return names;
  }

  // Of batch_norm.pt, made of `number`.
  worker::v1::CheckpointReference NormModel(const std::string& name, float number,
                                            bool with_statistics) {
    const std::vector<float> four(4, number);
    std::vector<float> head;
    for (int i = 0; i < 12; ++i) head.push_back(number * static_cast<float>(i % 5));
    std::vector<MadeTensor> tensors = {
        MakeTensor("head.bias", DType::kFloat32, {3}, std::vector<float>{number, 0, 1}),
        MakeTensor("head.weight", DType::kFloat32, {3, 4}, head),
        MakeTensor("norm.bias", DType::kFloat32, {4}, four)};
    if (with_statistics) {
      tensors.push_back(
          MakeTensor("norm.num_batches_tracked", DType::kInt64, {}, std::vector<int64_t>{77}));
      tensors.push_back(MakeTensor("norm.running_mean", DType::kFloat32, {4}, four));
      tensors.push_back(MakeTensor("norm.running_var", DType::kFloat32, {4}, four));
    }
    tensors.push_back(
        MakeTensor("norm.weight", DType::kFloat32, {4}, std::vector<float>{number, 1, 2, 3}));
    return Write(name, tensors);
  }

  // With statistics gathered on the held-out set.
  Task NormTask(bool with_statistics) {
    Task task = Measure({NormModel("first.safetensors", 0.3f, with_statistics),
                         NormModel("second.safetensors", 1.1f, with_statistics)},
                        "batch_norm.pt");
    worker::v1::Measure* measure = task.mutable_measure();
    *measure->mutable_batch_norm()->mutable_data_set() = measure->data_set();
    measure->mutable_batch_norm()->set_data_set_digest(measure->data_set_digest());
    return task;
  }

  TinySweep sweep_;
  std::unique_ptr<TaskRunner> runner_ = MakeRunner(sweep_);
};

TEST_F(WeightTasksTest, ExcludedTensorsAreTheArchitecturesOwnWhateverRanBefore) {
  const Task plain = Measure({Reference("good_0.safetensors")});
  Task excluded = plain;
  excluded.mutable_measure()->mutable_blend()->mutable_selection()->add_excluded("w*");
  // The architecture's own weight is 0: so is what a checkpoint of such a weight gives.
  const auto zero =
      Write("zero.safetensors", TinySweep::Checkpoint(std::vector<float>(12), {3, 4}));
  const TaskOutcome expected = Run(MakeRunner(sweep_).get(), Measure({zero}));
  EXPECT_NE(Run(plain).examples, expected.examples);
  ExpectSame(Run(excluded), expected);
  const TaskOutcome before = Run(plain);
  ExpectSame(Run(excluded), expected);
  ExpectSame(Run(plain), before);
  ExpectSame(Run(MakeRunner(sweep_).get(), excluded), expected);
}

TEST_F(WeightTasksTest, WhatIsNotExcludedMayNotBeMissing) {
  const auto headless = Write("headless.safetensors",
                              {MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>(3, 1))});
  Task task = Measure({headless});
  worker::v1::TensorSelection* selection =
      task.mutable_measure()->mutable_blend()->mutable_selection();
  EXPECT_THAT(Failure(task), HasSubstr("'weight' is missing"));
  selection->add_excluded("weight");
  Run(task);
  selection->clear_excluded();
  EXPECT_THAT(Failure(task), HasSubstr("'weight' is missing")) << "though it is remembered";
}

TEST_F(WeightTasksTest, TensorsOfTheBaseReplaceThoseOfAnyShape) {
  const auto base =
      Write("base.safetensors", TinySweep::Checkpoint(std::vector<float>(12, 0.7f), {3, 4}));
  const auto bias = MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>{1, 2, 3});
  const auto wide =
      Write("wide.safetensors",
            {bias, MakeTensor("weight", DType::kFloat32, {2, 2}, std::vector<float>(4, 9.0f))});
  const auto none = Write("none.safetensors", {bias});
  Task task = Measure({wide, none, Reference("good_1.safetensors")});
  worker::v1::Blend* blend = task.mutable_measure()->mutable_blend();
  EXPECT_THAT(Failure(task), HasSubstr("none.safetensors"));
  blend->mutable_selection()->add_from_base("weight");
  *blend->mutable_selection()->mutable_base() = base;
  const auto soup = Soup(WriteSoup(*blend));
  EXPECT_EQ(Floats(*soup, "weight"), std::vector<float>(12, 0.7f)) << "no sum of itself";
  EXPECT_EQ(Floats(*soup, "bias")[1], (2.0f + 2.0f + 0.0f) * (1.0f / 3));
  ExpectSame(Run(Measure({Reference("soup.safetensors")})), Run(task));

  blend->mutable_selection()->add_excluded("bias");
  EXPECT_THAT(Names(*Soup(WriteSoup(*blend))), ElementsAre("weight"));
}

TEST_F(WeightTasksTest, SelectionsThatCannotBeMadeSaySo) {
  Task task = Measure({Reference("good_0.safetensors")});
  worker::v1::TensorSelection* selection =
      task.mutable_measure()->mutable_blend()->mutable_selection();
  selection->add_from_base("weight");
  EXPECT_THAT(Failure(task), HasSubstr("INVALID_ARGUMENT: tensors 'weight' are to come from the"));
  *selection->mutable_base() = Reference("good_1.safetensors");
  Run(task);
  selection->add_from_base("head.*");
  EXPECT_THAT(Failure(task), HasSubstr("no tensor of the base is called 'head.*'"));
  selection->mutable_from_base()->RemoveLast();
  selection->mutable_base()->set_digest(std::string(64, '0'));
  EXPECT_THAT(Failure(task), HasSubstr("FAILED_PRECONDITION"));
}

TEST_F(WeightTasksTest, EveryTensorHasItsCoefficients) {
  worker::v1::Blend blend;
  *blend.add_ingredients() = Write(
      "ones.safetensors", {MakeTensor("bias", DType::kFloat32, {1}, std::vector<float>{1}),
                           MakeTensor("weight", DType::kFloat32, {1}, std::vector<float>{1})});
  *blend.add_ingredients() = Write(
      "tens.safetensors", {MakeTensor("bias", DType::kFloat32, {1}, std::vector<float>{10}),
                           MakeTensor("weight", DType::kFloat32, {1}, std::vector<float>{10})});
  for (const double coefficient : {0.25, 0.5, 0.75, -0.5}) blend.add_coefficients(coefficient);
  const auto soup = Soup(WriteSoup(blend));
  EXPECT_THAT(Floats(*soup, "bias"), ElementsAre(0.25f + 7.5f));
  EXPECT_THAT(Floats(*soup, "weight"), ElementsAre(0.5f - 5.0f));
  blend.add_coefficients(1);
  EXPECT_THAT(Failure(WriteSoup(blend)),
              HasSubstr("INVALID_ARGUMENT: 5 coefficients for 2 ingredients of 2 tensors"));
}

TEST_F(WeightTasksTest, EqualCoefficientsOfAllTensorsAreTheGlobalOnes) {
  Task global = MeasureTaskOf(sweep_, runner_.get(), {0, 1, 2});
  Task each = global;
  for (const double coefficient : {0.1, 0.7, 0.3}) {
    global.mutable_measure()->mutable_blend()->add_coefficients(coefficient);
    for (int t = 0; t < 2; ++t) {
      each.mutable_measure()->mutable_blend()->add_coefficients(coefficient);
    }
  }
  ExpectSame(Run(each), Run(global));
  EXPECT_EQ(Run(WriteSoup(each.measure().blend())).result.soup().content_digest(),
            Run(WriteSoup(global.measure().blend())).result.soup().content_digest());
}

TEST_F(WeightTasksTest, ArchitecturesTellTheirBatchNorms) {
  const auto names = [&](const std::string& model) {
    const auto found = Run(InspectArchitectureTaskOf(sweep_ / ("models/" + model))).result;
    return std::vector<std::string>(found.architecture().batch_norms().begin(),
                                    found.architecture().batch_norms().end());
  };
  EXPECT_THAT(names("batch_norms.pt"), ElementsAre("first", "idle", "second"));
  EXPECT_THAT(names("linear.pt"), ElementsAre());
}

// Scored = shipped: the file, measured as it is, gives what the blend's measure gave.
TEST_F(WeightTasksTest, ShippedStatisticsAreThoseThatWereMeasured) {
  for (const bool with_statistics : {true, false}) {
    for (const auto dtype : {v1::Output::STORED, v1::Output::BFLOAT16, v1::Output::FLOAT16}) {
      for (const bool per_tensor : {false, true}) {
        Task task = NormTask(with_statistics);
        worker::v1::Blend* blend = task.mutable_measure()->mutable_blend();
        blend->set_dtype(dtype);
        const int tensors = with_statistics ? 7 : 4;
        for (int i = 0; per_tensor && i < 2 * tensors; ++i) blend->add_coefficients(0.3 + 0.01 * i);
        Task write = WriteSoup(*blend);
        *write.mutable_write_soup()->mutable_reestimate() = task.measure();
        const auto soup = Run(write).result.soup();
        const auto opened = OpenCheckpoint(sweep_ / "soup.safetensors", {});
        EXPECT_THAT(Names(**opened),
                    ElementsAre("head.bias", "head.weight", "norm.bias", "norm.num_batches_tracked",
                                "norm.running_mean", "norm.running_var", "norm.weight"));
        const Task shipped = Measure({Reference("soup.safetensors")}, "batch_norm.pt");
        ExpectSame(Run(shipped), Run(task));
        write.mutable_write_soup()->set_discard(true);
        write.mutable_write_soup()->clear_folder();
        EXPECT_EQ(Run(write).result.soup().SerializeAsString(), soup.SerializeAsString());
        Task averaged = task;
        averaged.mutable_measure()->clear_batch_norm();
        EXPECT_NE(Run(averaged).examples, Run(task).examples) << "it makes a difference";
      }
    }
  }
}

TEST_F(WeightTasksTest, StatisticsAreTheMeanOfWholeBatches) {
  Task task = NormTask(true);
  Task write = WriteSoup(task.measure().blend());
  *write.mutable_write_soup()->mutable_reestimate() = task.measure();
  // Of six examples four are a batch: units of classes 0, 1, 2, 0.
  const auto soup = Soup(write);
  EXPECT_THAT(Floats(*soup, "norm.running_mean"), ElementsAre(0.5f, 0.25f, 0.25f, 0.0f));
  const auto variance = Floats(*soup, "norm.running_var");
  EXPECT_FLOAT_EQ(variance[0], 1.0f / 3);
  EXPECT_FLOAT_EQ(variance[1], 0.25f);
  EXPECT_EQ(variance[3], 0.0f);
}

TEST_F(WeightTasksTest, StatisticsThatAreExcludedOrOfTheBaseStay) {
  for (const bool excluded : {true, false}) {
    Task task = NormTask(true);
    auto* selection = task.mutable_measure()->mutable_blend()->mutable_selection();
    if (excluded) {
      selection->add_excluded("*running_*");
    } else {
      selection->add_from_base("*.running_mean");
      *selection->mutable_base() = task.measure().blend().ingredients(1);
    }
    Task averaged = task;
    averaged.mutable_measure()->clear_batch_norm();
    ExpectSame(Run(task), Run(averaged));
  }
}

TEST_F(WeightTasksTest, MeasuresWithBatchNormCountAllExamplesAndCanBeCancelled) {
  const Task task = NormTask(true);
  std::vector<int64_t> seen;
  ASSERT_TRUE(runner_
                  ->Run(task,
                        [&](int64_t done, int64_t total) {
                          EXPECT_EQ(total, 12);
                          seen.push_back(done);
                          return absl::OkStatus();
                        })
                  .ok());
  EXPECT_THAT(seen, ElementsAre(4, 6, 10, 12));
  for (const int64_t last : {4, 6, 10}) {
    const auto cancelled = runner_->Run(task, [last](int64_t done, int64_t) {
      return done == last ? absl::CancelledError("enough") : absl::OkStatus();
    });
    EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(WeightTasksTest, LearningGoesOnFromItsStateAndCanBeCancelled) {
  Task task;
  *task.mutable_learn_coefficients()->mutable_measure() =
      MeasureTaskOf(sweep_, runner_.get(), {0, 1, 2}).measure();
  task.mutable_learn_coefficients()->mutable_recipe()->set_per_tensor(true);
  const auto first = Run(task).result.coefficients();
  ASSERT_EQ(first.coefficients_size(), 6);
  EXPECT_NEAR(first.coefficients(1) + first.coefficients(3) + first.coefficients(5), 1, 1e-12);
  EXPECT_GT(first.coefficients(1), first.coefficients(5)) << "the sharpest is best";
  EXPECT_GT(first.temperature(), 0);
  EXPECT_NE(first.temperature(), 1);
  EXPECT_GT(first.mean_loss(), 0);
  EXPECT_LE(first.state().size(), 3 * 8 * 6 + 200u);

  task.mutable_learn_coefficients()->set_epoch(1);
  EXPECT_THAT(Failure(task), HasSubstr("INVALID_ARGUMENT"));
  task.mutable_learn_coefficients()->set_state(first.state());
  const auto second = Run(task);
  EXPECT_LT(second.result.coefficients().mean_loss(), first.mean_loss());
  ExpectSame(Run(MakeRunner(sweep_).get(), task), second);

  std::vector<int64_t> seen;
  for (const int64_t last : {0, 4, 6}) {
    const auto cancelled = runner_->Run(task, [&](int64_t done, int64_t total) {
      EXPECT_EQ(total, 6);
      seen.push_back(done);
      return done == last ? absl::CancelledError("enough") : absl::OkStatus();
    });
    EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled) << cancelled.status();
  }
  EXPECT_THAT(seen, ElementsAre(0, 0, 4, 0, 4, 6));
}

TEST_F(WeightTasksTest, ComparesMovesFromTheBaseOrTheFirst) {
  const auto model = [&](const std::string& name, std::vector<float> bias, float weight) {
    std::vector<float> all(12, 0.0f);
    all[5] = weight;
    return Write(name, {MakeTensor("bias", DType::kFloat32, {3}, bias),
                        MakeTensor("weight", DType::kFloat32, {3, 4}, all)});
  };
  Task task;
  worker::v1::CompareWeights* compare = task.mutable_compare_weights();
  *compare->add_ingredients() = model("a.safetensors", {1, 0, 0}, 2);
  *compare->add_ingredients() = model("b.safetensors", {0, 3, 0}, 1);
  const auto products = [&] {
    const auto found = Run(task).result.weights().inner_products();
    return std::vector<double>(found.begin(), found.end());
  };
  EXPECT_THAT(products(), ElementsAre(0, 0, 0, 1 + 9 + 1)) << "from the first";
  *compare->mutable_base() = model("base.safetensors", {0, 0, 0}, 1);
  EXPECT_THAT(products(), ElementsAre(2, 0, 0, 9));
  compare->mutable_selection()->add_excluded("weight");
  EXPECT_THAT(products(), ElementsAre(1, 0, 0, 9));
  compare->mutable_selection()->add_from_base("bias");
  EXPECT_THAT(products(), ElementsAre(0, 0, 0, 0)) << "what comes from the base does not move";
  compare->clear_selection();

  std::vector<int64_t> seen;
  const auto fresh = MakeRunner(sweep_);
  ASSERT_TRUE(fresh
                  ->Run(task,
                        [&](int64_t done, int64_t) {
                          seen.push_back(done);
                          return absl::OkStatus();
                        })
                  .ok());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 3 * 2 + 2) << "read, then compared";
  compare->mutable_ingredients(1)->set_digest(std::string(64, '0'));
  EXPECT_THAT(Failure(task), HasSubstr("FAILED_PRECONDITION"));
  compare->clear_ingredients();
  EXPECT_THAT(Failure(task), HasSubstr("INVALID_ARGUMENT"));
}

}  // namespace
}  // namespace stockpot
