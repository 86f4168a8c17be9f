// What the tests of measuring tasks have in common: a TinySweep with a worker's runner, data sets
// and checkpoints of one's own, ensembles. Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_SESSION_MEASURER_TEST_H_
#define STOCKPOT_TESTS_SERVER_WORKER_SESSION_MEASURER_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "tests/server/worker/session/worker_tasks.h"

namespace stockpot {

class MeasurerTest : public testing::Test {
 protected:
  TaskOutcome Run(const worker::v1::Task& task) {
    auto outcome = runner_->Run(task, Unwatched);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *std::move(outcome) : TaskOutcome();
  }

  // The reason of a failure that must be of `code` and say `says`.
  std::string ReasonOf(const worker::v1::Task& task, absl::StatusCode code,
                       const std::string& says = "") {
    const auto outcome = runner_->Run(task, Unwatched);
    EXPECT_EQ(outcome.status().code(), code) << outcome.status();
    EXPECT_THAT(std::string(outcome.status().message()), testing::HasSubstr(says));
    return GetErrorFacts(outcome.status()).reason;
  }

  // Measures on `name` beside the sweep, which is written unless it is there.
  void UseData(worker::v1::Task* task, const std::string& name,
               const std::vector<MadeTensor>& tensors) {
    if (!std::filesystem::exists(sweep_ / name)) WriteSafetensors(sweep_ / name, tensors);
    worker::v1::Measure* measure = task->mutable_measure();
    measure->mutable_data_set()->set_uri(sweep_ / name);
    measure->set_data_set_digest(
        Run(InspectDataSetTaskOf(sweep_ / name)).result.data_set().digest());
  }

  // Measures the checkpoint of `tensors` alone.
  void UseWeights(worker::v1::Task* task, const std::string& name,
                  const std::vector<MadeTensor>& tensors) {
    WriteSafetensors(sweep_ / name, tensors);
    worker::v1::Blend* blend = task->mutable_measure()->mutable_blend();
    blend->Clear();
    blend->add_ingredients()->set_uri(sweep_ / name);
    blend->mutable_ingredients(0)->set_digest(
        Run(InspectCheckpointTaskOf(sweep_ / name)).result.checkpoint().digest());
  }

  worker::v1::Task MeasureTask(const std::vector<int>& ingredients,
                               const std::string& model = "linear.pt") {
    return MeasureTaskOf(sweep_, runner_.get(), ingredients, model);
  }

  // Logits of good_0 … with classes blurred, of which some are wrong.
  worker::v1::Task BlurredTask(const std::vector<int>& ingredients) {
    auto task = MeasureTask(ingredients);
    std::vector<float> x;
    std::vector<int64_t> labels;
    for (int i = 0; i < 10; ++i) {
      // Right more often than not, not always: the best temperature lies within its bounds.
      for (int d = 0; d < 4; ++d) {
        x.push_back(std::sin(static_cast<float>(i * 4 + d)) + (d == i % 3 ? 1.2f : 0.0f));
      }
      labels.push_back(i % 3);
    }
    UseData(&task, "blurred.safetensors",
            {MakeTensor("labels", DType::kInt64, {10}, labels),
             MakeTensor("x", DType::kFloat32, {10, 4}, x)});
    return task;
  }

  static worker::v1::KeptLogits MemberOf(const worker::v1::Task& task, const std::string& key) {
    worker::v1::KeptLogits member;
    member.set_key(key);
    *member.mutable_blend() = task.measure().blend();
    member.set_batch_size(task.measure().batch_size());
    return member;
  }

  static worker::v1::Measure WithoutBlend(const worker::v1::Task& task) {
    worker::v1::Measure measure = task.measure();
    measure.clear_blend();
    return measure;
  }

  static worker::v1::Task EnsembleTask(const worker::v1::Task& common,
                                       const std::vector<worker::v1::KeptLogits>& members) {
    worker::v1::Task task;
    *task.mutable_measure_ensemble()->mutable_measure() = WithoutBlend(common);
    for (const auto& member : members) *task.mutable_measure_ensemble()->add_members() = member;
    return task;
  }

  // Both give the same, but for an ensemble's temperature.
  static void ExpectSame(TaskOutcome a, TaskOutcome b) {
    a.result.mutable_measured()->clear_temperature();
    b.result.mutable_measured()->clear_temperature();
    EXPECT_EQ(a.result.DebugString(), b.result.DebugString());
    EXPECT_EQ(a.examples, b.examples);
  }

  std::vector<std::filesystem::path> KeptFiles() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(sweep_ / "cache/logits")) {
      if (entry.path().extension() == ".logits") files.push_back(entry.path());
    }
    return files;
  }

  TinySweep sweep_;
  std::unique_ptr<TaskRunner> runner_ = MakeRunner(sweep_);
};

inline std::vector<float> FloatsOf(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_SESSION_MEASURER_TEST_H_
