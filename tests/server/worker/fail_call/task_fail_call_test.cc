// Every file-system call of a worker's tasks fails once in turn, those of the sources it reads and
// of its caches (decoded images, kept logits) included: a task gives the right result or an error
// that says why, and the attempt after it the right result. On a disk that is full or read-only
// from any call on, what cannot be written is an error whose reason lets the job wait.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/server/worker/session/worker_tasks.h"
#include "tests/support/failing_calls/fail_each_call.h"

namespace stockpot {
namespace {

using worker::v1::Task;

constexpr int64_t kForGood = 1000000;

class TaskFailCall : public testing::Test {
 protected:
  void SetUp() override {
    const char* pictures[] = {"rgb.png", "444.jpg", "lossy.webp"};
    for (int i = 0; i < 3; ++i) {
      const std::string folder = sweep_ / ("images/class_" + std::to_string(i));
      std::filesystem::create_directories(folder);
      std::filesystem::copy(std::string("tests/server/worker/dataset/data/") + pictures[i],
                            folder + "/" + pictures[i]);
    }
  }

  Task ImagesTask() const {
    Task task = InspectDataSetTaskOf(sweep_ / "images");
    v1::ImageTransform* transform =
        task.mutable_inspect_data_set()->mutable_data_set()->mutable_image_transform();
    transform->set_resize_height(2);
    transform->set_resize_width(2);
    return task;
  }

  std::vector<Task> Tasks() {
    const auto runner = MakeRunner(sweep_);
    Task keeps = MeasureTaskOf(sweep_, runner.get(), {0, 1});
    keeps.set_key("the-measures-key");
    keeps.mutable_measure()->set_keep_logits(true);
    return {InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"),
            InspectArchitectureTaskOf(sweep_ / "models/linear.pt"), ImagesTask(), keeps};
  }

  // By a worker that has just started, on a disk without its caches.
  absl::StatusOr<TaskOutcome> RunFresh(const Task& task) const {
    return MakeRunner(sweep_)->Run(task, Unwatched);
  }
  void Clear() const { std::filesystem::remove_all(sweep_ / "cache"); }

  static void ExpectEqual(const absl::StatusOr<TaskOutcome>& found, const TaskOutcome& expected) {
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->result.SerializeAsString(), expected.result.SerializeAsString());
    EXPECT_EQ(found->examples, expected.examples);
  }

  // `reason`: what the errors must say; "": anything.
  int FailEach(const Task& task, FailingCalls::Options failure, const std::string& reason) {
    Clear();
    const TaskOutcome expected = *RunFresh(task);
    const EachCall each = {
        .folder = sweep_.folder().path(), .failure = failure, .reason = reason, .clear = [&] {
          Clear();
        }};
    return FailEachCall(
        each, [&] { return RunFresh(task); },
        [&](const absl::StatusOr<TaskOutcome>& found) { ExpectEqual(found, expected); });
  }

  const TinySweep sweep_;
};

TEST_F(TaskFailCall, EachCallOnceGivesTheRightResultOrAnErrorAndThenTheRightResult) {
  int failures = 0;
  for (const Task& task : Tasks()) {
    failures += FailEach(task, {.error = EIO}, "");
  }
  EXPECT_GT(failures, 5) << "are the calls interposed?";
  RecordProperty("failures", failures);
}

TEST_F(TaskFailCall, ADiskThatIsFullOrReadOnlyFromAnyWriteOnIsSaidToBe) {
  int failures = 0;
  for (const int error : {ENOSPC, EROFS}) {
    for (const Task& task : Tasks()) {
      failures += FailEach(task, {.count = kForGood, .error = error, .only_writes = true},
                           error == ENOSPC ? "DISK_FULL" : "STORAGE_READ_ONLY");
    }
  }
  EXPECT_GT(failures, 5) << "is anything written?";
  RecordProperty("failures", failures);
}

}  // namespace
}  // namespace stockpot
