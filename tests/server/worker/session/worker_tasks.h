// The tasks that a server makes of a TinySweep, digests filled in.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_SESSION_WORKER_TASKS_H_
#define STOCKPOT_TESTS_SERVER_WORKER_SESSION_WORKER_TASKS_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/worker/session/task_runner.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

inline std::unique_ptr<TaskRunner> MakeRunner(const TinySweep& sweep,
                                              const FailPoints* fail_points = nullptr,
                                              WorkCounters* counters = nullptr) {
  TaskRunner::Options options;
  options.device = "cpu";
  options.sources.cache_folder = sweep / "cache";
  options.fail_points = fail_points;
  options.counters = counters;
  auto allowed = AllowList::Create({sweep.folder().path()}, {sweep / "models"});
  EXPECT_TRUE(allowed.ok()) << allowed.status();
  return std::make_unique<TaskRunner>(options, *std::move(allowed));
}

inline worker::v1::Task InspectCheckpointTaskOf(const std::string& uri) {
  worker::v1::Task task;
  task.mutable_inspect_checkpoint()->set_uri(uri);
  return task;
}

inline worker::v1::Task InspectArchitectureTaskOf(const std::string& uri) {
  worker::v1::Task task;
  task.mutable_inspect_architecture()->set_uri(uri);
  return task;
}

inline worker::v1::Task InspectDataSetTaskOf(const std::string& uri) {
  worker::v1::Task task;
  task.mutable_inspect_data_set()->mutable_data_set()->set_uri(uri);
  return task;
}

// Of good_{i}.safetensors for each of `ingredients`.
inline worker::v1::Task MeasureTaskOf(const TinySweep& sweep, TaskRunner* runner,
                                      const std::vector<int>& ingredients,
                                      const std::string& model = "linear.pt") {
  const auto run = [&](const worker::v1::Task& task) {
    auto outcome = runner->Run(task, Unwatched);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome->result;
  };
  worker::v1::Task task;
  worker::v1::Measure* measure = task.mutable_measure();
  measure->set_architecture_uri(sweep / ("models/" + model));
  measure->set_architecture_digest(
      run(InspectArchitectureTaskOf(measure->architecture_uri())).architecture().digest());
  for (const int i : ingredients) {
    auto* reference = measure->mutable_blend()->add_ingredients();
    reference->set_uri(sweep / ("good_" + std::to_string(i) + ".safetensors"));
    reference->set_digest(run(InspectCheckpointTaskOf(reference->uri())).checkpoint().digest());
  }
  measure->mutable_data_set()->set_uri(sweep / "data.safetensors");
  measure->set_data_set_digest(
      run(InspectDataSetTaskOf(sweep / "data.safetensors")).data_set().digest());
  measure->set_batch_size(4);
  return task;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_SESSION_WORKER_TASKS_H_
