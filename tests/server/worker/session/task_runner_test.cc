#include "server/worker/session/task_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "tests/server/worker/session/worker_tasks.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

class TaskRunnerTest : public testing::Test {
 protected:
  TaskOutcome Run(const worker::v1::Task& task) {
    auto outcome = runner_->Run(task, Unwatched);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *std::move(outcome) : TaskOutcome();
  }

  // The reason of a failure that must be of `code`.
  std::string ReasonOf(const worker::v1::Task& task, absl::StatusCode code) {
    const auto outcome = runner_->Run(task, Unwatched);
    EXPECT_EQ(outcome.status().code(), code) << outcome.status();
    return GetErrorFacts(outcome.status()).reason;
  }

  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  worker::v1::Task WriteTask(const std::vector<int>& ingredients) {
    worker::v1::Task task;
    *task.mutable_write_soup()->mutable_blend() =
        MeasureTaskOf(sweep_, runner_.get(), ingredients).measure().blend();
    task.mutable_write_soup()->set_folder(out_.path());
    task.mutable_write_soup()->set_max_shard_bytes(1000);
    (*task.mutable_write_soup()->mutable_metadata())["made_by"] = "a test";
    return task;
  }

  TinySweep sweep_;
  TemporaryFolder out_;
  std::unique_ptr<TaskRunner> runner_ = MakeRunner(sweep_);
};

TEST_F(TaskRunnerTest, AnIndexIsKnownUntilItChanges) {
  const std::string index = sweep_ / "shards/model.safetensors.index.json";
  std::filesystem::create_directories(sweep_ / "shards");
  for (const char* file : {"a", "b"}) {
    WriteSafetensors(sweep_ / absl::StrCat("shards/", file, ".safetensors"),
                     {MakeTensor(file, DType::kFloat32, {1}, std::vector<float>{1.0f})});
  }
  const auto tensors = [&](const std::string& weight_map) {
    std::ofstream(index) << "{\"weight_map\": " << weight_map << "}";
    std::vector<std::string> names;
    for (int look = 0; look < 2; ++look) {
      names.clear();
      const TaskOutcome outcome = Run(InspectCheckpointTaskOf(index));
      for (const auto& tensor : outcome.result.checkpoint().tensors()) {
        names.push_back(tensor.name());
      }
    }
    return names;
  };
  EXPECT_THAT(tensors(R"({"a": "a.safetensors"})"), testing::ElementsAre("a"));
  EXPECT_THAT(tensors(R"({"b": "b.safetensors"})"), testing::ElementsAre("b"));
  EXPECT_THAT(tensors(R"({"a": "a.safetensors", "b": "b.safetensors"})"),
              testing::ElementsAre("a", "b"));
}

TEST_F(TaskRunnerTest, InspectionsSayWhatSourcesHold) {
  const auto checkpoint =
      Run(InspectCheckpointTaskOf(sweep_ / "good_0.safetensors")).result.checkpoint();
  EXPECT_EQ(checkpoint.digest().size(), 64u);
  EXPECT_EQ(checkpoint.format(), "safetensors");
  EXPECT_EQ(checkpoint.byte_count(), 15 * 4);
  ASSERT_EQ(checkpoint.tensors_size(), 2);
  EXPECT_EQ(checkpoint.tensors(1).name(), "weight");
  EXPECT_EQ(checkpoint.tensors(1).dtype(), "F32");
  EXPECT_THAT(checkpoint.tensors(1).shape(), testing::ElementsAre(3, 4));

  const auto architecture =
      Run(InspectArchitectureTaskOf(sweep_ / "models/batch_norm.pt")).result.architecture();
  EXPECT_EQ(architecture.digest(), Sha256Hex(Content(sweep_ / "models/batch_norm.pt")));
  EXPECT_EQ(architecture.tensors_size(), 7);
  EXPECT_EQ(architecture.buffers_size(), 3);
  EXPECT_THAT(architecture.numerics(), HasSubstr("LibTorch"));

  const auto data_set = Run(InspectDataSetTaskOf(sweep_ / "data.safetensors")).result.data_set();
  EXPECT_EQ(data_set.example_count(), 6);
  EXPECT_EQ(data_set.class_count(), 3);
  ASSERT_EQ(data_set.inputs_size(), 1);
  EXPECT_EQ(data_set.inputs(0).name(), "x");
}

TEST_F(TaskRunnerTest, MeasuresGiveCountsBitsAndMargins) {
  const TaskOutcome outcome = Run(MeasureTaskOf(sweep_, runner_.get(), {0}));
  const worker::v1::Measured& measured = outcome.result.measured();
  EXPECT_EQ(measured.example_count(), 6);
  EXPECT_EQ(measured.top1_correct(), 6);
  ASSERT_EQ(outcome.examples.size(), 1u + 6 * sizeof(float));
  EXPECT_EQ(outcome.examples[0], '\x3f');
  float first = 0;
  std::memcpy(&first, outcome.examples.data() + 1, sizeof(first));
  EXPECT_EQ(first, 1.0f);
}

TEST_F(TaskRunnerTest, ResultsDoNotDependOnWhatRanBefore) {
  const auto one = MeasureTaskOf(sweep_, runner_.get(), {0});
  const auto all = MeasureTaskOf(sweep_, runner_.get(), {0, 1, 2});
  const auto counter = MeasureTaskOf(sweep_, runner_.get(), {0}, "dropout.pt");
  const auto fresh = MakeRunner(sweep_);
  for (const auto& task : {one, counter, all, one, counter, all}) {
    const TaskOutcome expected = *MakeRunner(sweep_)->Run(task, Unwatched);
    const TaskOutcome found = *fresh->Run(task, Unwatched);
    EXPECT_EQ(found.result.SerializeAsString(), expected.result.SerializeAsString());
    EXPECT_EQ(found.examples, expected.examples);
  }
}

TEST_F(TaskRunnerTest, ProgressCoversAllExamplesAndCanCancel) {
  const auto task = MeasureTaskOf(sweep_, runner_.get(), {0});
  std::vector<int64_t> seen;
  EXPECT_TRUE(runner_
                  ->Run(task,
                        [&](int64_t done, int64_t total) {
                          EXPECT_EQ(total, 6);
                          seen.push_back(done);
                          return absl::OkStatus();
                        })
                  .ok());
  EXPECT_THAT(seen, testing::ElementsAre(0, 4, 6));
  const auto cancelled =
      runner_->Run(task, [](int64_t, int64_t) { return absl::CancelledError("enough"); });
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(TaskRunnerTest, SourcesThatChangedAreNoticed) {
  const auto task = MeasureTaskOf(sweep_, runner_.get(), {0, 1});
  const auto other = TinySweep::Checkpoint(std::vector<float>(12, 7.0f), {3, 4});
  std::filesystem::remove(sweep_ / "good_1.safetensors");
  WriteSafetensors(sweep_ / "good_1.safetensors", other);
  EXPECT_EQ(ReasonOf(task, absl::StatusCode::kFailedPrecondition), "CHECKPOINT_CHANGED");

  auto changed = MeasureTaskOf(sweep_, runner_.get(), {0});
  changed.mutable_measure()->set_data_set_digest(std::string(64, '0'));
  EXPECT_EQ(ReasonOf(changed, absl::StatusCode::kFailedPrecondition), "CHECKPOINT_CHANGED");
  changed = MeasureTaskOf(sweep_, runner_.get(), {0});
  changed.mutable_measure()->set_architecture_digest(std::string(64, '0'));
  EXPECT_EQ(ReasonOf(changed, absl::StatusCode::kFailedPrecondition), "CHECKPOINT_CHANGED");
}

TEST_F(TaskRunnerTest, BadSourcesHaveTheirReason) {
  std::ofstream(sweep_ / "models/text.pt") << "no architecture";
  ASSERT_EQ(mkfifo((sweep_ / "models/pipe.pt").c_str(), 0600), 0);  // nothing ever comes out of it
  auto of_pipe = InspectDataSetTaskOf(sweep_ / "none");
  of_pipe.mutable_inspect_data_set()->mutable_data_set()->mutable_image_transform()->set_config_uri(
      sweep_ / "models/pipe.pt");
  const struct {
    worker::v1::Task task;
    absl::StatusCode code;
    std::string reason;
  } cases[] = {
      {InspectCheckpointTaskOf(sweep_ / "none"), absl::StatusCode::kNotFound,
       "CHECKPOINT_NOT_FOUND"},
      {InspectCheckpointTaskOf("/etc/passwd"), absl::StatusCode::kPermissionDenied,
       "PATH_NOT_ALLOWED"},
      {InspectArchitectureTaskOf(sweep_ / "models/none.pt"), absl::StatusCode::kNotFound,
       "ARCHITECTURE_INVALID"},
      {InspectArchitectureTaskOf(sweep_ / "models/text.pt"), absl::StatusCode::kInvalidArgument,
       "ARCHITECTURE_INVALID"},
      {InspectArchitectureTaskOf(sweep_ / "good_0.safetensors"),
       absl::StatusCode::kPermissionDenied, "ARCHITECTURE_NOT_ALLOWED"},
      {InspectDataSetTaskOf(sweep_ / "none"), absl::StatusCode::kNotFound, "DATA_SET_NOT_FOUND"},
      {InspectCheckpointTaskOf(sweep_ / "models/pipe.pt"), absl::StatusCode::kInvalidArgument,
       "INVALID_FIELD"},
      {InspectArchitectureTaskOf(sweep_ / "models/pipe.pt"), absl::StatusCode::kInvalidArgument,
       "INVALID_FIELD"},
      {of_pipe, absl::StatusCode::kInvalidArgument, "INVALID_FIELD"},
      {MeasureTaskOf(sweep_, runner_.get(), {0}, "throws.pt"), absl::StatusCode::kInternal,
       "MODEL_FAILED"},
      {worker::v1::Task(), absl::StatusCode::kInvalidArgument, ""},
  };
  for (const auto& bad : cases) {
    EXPECT_EQ(ReasonOf(bad.task, bad.code), bad.reason) << bad.task.ShortDebugString();
  }
}

TEST_F(TaskRunnerTest, ProgressOfEveryKindOfTaskGrowsAndCanCancel) {
  const std::string uri = sweep_ / "good_0.safetensors";
  auto soup = WriteTask({0, 1});
  const struct {
    worker::v1::Task task;
    std::vector<int64_t> done;  // by a worker that has read nothing yet
  } cases[] = {
      {InspectCheckpointTaskOf(uri), {0, 1, 2}},
      // Two tensors of each ingredient are read, two are written and read back.
      {soup, {0, 1, 2, 2, 3, 4, 5, 6, 7, 8}},
  };
  for (const auto& test : cases) {
    std::vector<int64_t> done;
    const auto outcome = MakeRunner(sweep_)->Run(test.task, [&](int64_t now, int64_t) {
      done.push_back(now);
      return absl::OkStatus();
    });
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(done, test.done);
    for (const int64_t last : done) {
      const auto cancelled = MakeRunner(sweep_)->Run(test.task, [&](int64_t now, int64_t) {
        return now == last ? absl::CancelledError("enough") : absl::OkStatus();
      });
      EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled) << cancelled.status();
    }
  }
}

TEST_F(TaskRunnerTest, AMeasureThatReadsItsSourcesHearsOfTheEnd) {
  const auto task = MeasureTaskOf(sweep_, runner_.get(), {0, 1});
  int calls = 0;
  const auto cancelled = MakeRunner(sweep_)->Run(task, [&](int64_t done, int64_t) {
    EXPECT_EQ(done, 0);
    return ++calls == 4 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled) << cancelled.status();
}

TEST_F(TaskRunnerTest, AfterMemoryRanOutASmallerBatchSucceeds) {
  auto task = MeasureTaskOf(sweep_, runner_.get(), {0}, "out_of_memory.pt");
  EXPECT_EQ(ReasonOf(task, absl::StatusCode::kResourceExhausted), "OUT_OF_MEMORY");
  task.mutable_measure()->set_batch_size(2);
  EXPECT_EQ(Run(task).result.measured().top1_correct(), 6);
}

TEST_F(TaskRunnerTest, NoTaskEndsTheWorkerByRunningOutOfMemory) {
  const auto tasks = {InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"), WriteTask({0})};
  for (const auto& task : tasks) {
    const auto outcome = MakeRunner(sweep_)->Run(
        task, [](int64_t, int64_t) -> absl::Status { throw std::bad_alloc(); });
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted) << outcome.status();
    EXPECT_EQ(GetErrorFacts(outcome.status()).reason, "OUT_OF_MEMORY");
  }
  EXPECT_TRUE(std::filesystem::is_empty(out_.path()));
}

TEST_F(TaskRunnerTest, FailPointsEndTheProcessOnce) {
  const auto task = InspectCheckpointTaskOf(sweep_ / "good_0.safetensors");
  for (const char* point : {"task_begun", "result_ready"}) {
    const FailPoints fail_points(point, out_ / point);
    const auto runner = MakeRunner(sweep_, &fail_points);
    EXPECT_EXIT(runner->Run(task, Unwatched).IgnoreError(), testing::KilledBySignal(SIGKILL), "");
    EXPECT_EQ(Content(out_ / point), point);
    EXPECT_TRUE(runner->Run(task, Unwatched).ok());
  }
}

TEST_F(TaskRunnerTest, SoupFileIsReadBackAndAnEarlierAttemptIsReplaced) {
  std::ofstream(out_ / "soup.safetensors") << "left by an attempt that died";
  const worker::v1::SoupFiles soup = Run(WriteTask({0, 2})).result.soup();
  ASSERT_EQ(soup.files_size(), 1);
  EXPECT_EQ(soup.files(0).file(), "soup.safetensors");
  const std::string content = Content(out_ / "soup.safetensors");
  EXPECT_EQ(soup.files(0).size_bytes(), static_cast<int64_t>(content.size()));
  EXPECT_EQ(soup.files(0).sha256(), Sha256Hex(content));
  EXPECT_THAT(content, HasSubstr("made_by"));
  const auto opened = OpenCheckpoint(out_ / "soup.safetensors", {});
  EXPECT_EQ(SummarizeContent(**opened)->digest, soup.content_digest());
  EXPECT_EQ(Run(WriteTask({0, 2})).result.soup().SerializeAsString(), soup.SerializeAsString());
}

TEST_F(TaskRunnerTest, SoupOfOneIsThatOne) {
  const auto soup = Run(WriteTask({1})).result.soup();
  EXPECT_EQ(
      soup.content_digest(),
      Run(InspectCheckpointTaskOf(sweep_ / "good_1.safetensors")).result.checkpoint().digest());
}

TEST_F(TaskRunnerTest, ACancelledWriteLeavesNothing) {
  const auto cancelled = runner_->Run(
      WriteTask({0, 1}), [](int64_t, int64_t) { return absl::CancelledError("enough"); });
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(std::filesystem::is_empty(out_.path()));
}

TEST_F(TaskRunnerTest, ScoreOfTheShippedFileIsTheScoreOfTheBlend) {
  auto blend = MeasureTaskOf(sweep_, runner_.get(), {0, 1, 2});
  blend.mutable_measure()->mutable_blend()->set_dtype(v1::Output::BFLOAT16);
  auto write = WriteTask({0, 1, 2});
  write.mutable_write_soup()->mutable_blend()->set_dtype(v1::Output::BFLOAT16);
  write.mutable_write_soup()->set_folder(sweep_.folder().path());
  const auto soup = Run(write).result.soup();
  auto shipped = blend;
  worker::v1::Blend* single = shipped.mutable_measure()->mutable_blend();
  single->Clear();
  single->add_ingredients()->set_uri(sweep_ / "soup.safetensors");
  single->mutable_ingredients(0)->set_digest(soup.content_digest());
  const TaskOutcome expected = Run(blend), found = Run(shipped);
  EXPECT_EQ(found.result.SerializeAsString(), expected.result.SerializeAsString());
  EXPECT_EQ(found.examples, expected.examples);
}

}  // namespace
}  // namespace stockpot
