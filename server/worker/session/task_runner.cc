#include "server/worker/session/task_runner.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/session/blend_source.h"
#include "server/worker/session/soup_writer.h"
#include "server/worker/session/task_messages.h"

namespace stockpot {

TaskRunner::TaskRunner(Options options, AllowList allow_list)
    : options_(std::move(options)),
      sources_(options_.sources, std::move(allow_list)),
      runners_(options_.kept_models) {}

absl::StatusOr<TaskOutcome> TaskRunner::Run(const worker::v1::Task& task,
                                            const Progress& progress) {
  using worker::v1::Task;
  switch (task.task_case()) {
    case Task::kInspectCheckpoint:
      return InspectCheckpoint(task.inspect_checkpoint());
    case Task::kInspectArchitecture:
      return InspectArchitecture(task.inspect_architecture());
    case Task::kInspectDataSet:
      return InspectDataSet(task.inspect_data_set());
    case Task::kMeasure:
      return Measure(task.measure(), progress);
    case Task::kWriteSoup: {
      const worker::v1::WriteSoup& write = task.write_soup();
      ASSIGN_OR_RETURN(const BlendSource blend, OpenBlend(write.blend(), &sources_));
      const std::map<std::string, std::string> metadata(write.metadata().begin(),
                                                        write.metadata().end());
      TaskOutcome outcome;
      ASSIGN_OR_RETURN(
          *outcome.result.mutable_soup(),
          WriteSoupFile(blend, write.folder(), metadata, options_.sources.checkpoint_limits,
                        [&progress] { return progress(0, 0); }));
      return outcome;
    }
    case Task::TASK_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a task of no kind that this worker knows");
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectCheckpoint(
    const worker::v1::InspectCheckpoint& task) {
  ASSIGN_OR_RETURN(const Sources::Checkpoint checkpoint, sources_.OpenCheckpoint(task.uri()));
  TaskOutcome outcome;
  worker::v1::CheckpointFound* found = outcome.result.mutable_checkpoint();
  found->set_digest(checkpoint.content.digest);
  found->set_format(std::string(checkpoint.state_dict->format()));
  found->set_byte_count(static_cast<int64_t>(checkpoint.content.byte_count));
  AddSignatures(checkpoint.state_dict->tensors(), found->mutable_tensors());
  for (const std::string& note : checkpoint.state_dict->notes()) found->add_notes(ToUtf8(note));
  found->set_non_finite_tensor(ToUtf8(checkpoint.content.non_finite_tensor));
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectArchitecture(
    const worker::v1::InspectArchitecture& task) {
  ASSIGN_OR_RETURN(const auto architecture, sources_.FindArchitecture(task.uri()));
  ASSIGN_OR_RETURN(const Runner* const runner, Load(task.uri(), architecture));
  TaskOutcome outcome;
  worker::v1::ArchitectureFound* found = outcome.result.mutable_architecture();
  found->set_digest(architecture.digest);
  found->set_numerics(runner->device().numerics);
  AddSignatures(runner->tensors(), found->mutable_tensors());
  for (const std::string& buffer : runner->buffers()) found->add_buffers(ToUtf8(buffer));
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectDataSet(const worker::v1::InspectDataSet& task) {
  ASSIGN_OR_RETURN(const auto data_set, sources_.OpenDataSet(task.data_set()));
  TaskOutcome outcome;
  worker::v1::DataSetFound* found = outcome.result.mutable_data_set();
  found->set_digest(data_set->digest());
  found->set_example_count(data_set->size());
  found->set_class_count(data_set->class_count());
  for (const std::string& name : data_set->class_names()) found->add_class_names(ToUtf8(name));
  for (const InputInfo& input : data_set->inputs()) {
    *found->add_inputs() = ToSignature(input.name, input.dtype, input.shape);
  }
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::Measure(const worker::v1::Measure& task,
                                                const Progress& progress) {
  ASSIGN_OR_RETURN(const auto architecture, sources_.FindArchitecture(task.architecture_uri()));
  RETURN_IF_ERROR(Annotate(CheckDigest(task.architecture_digest(), architecture.digest),
                           absl::StrCat("architecture ", task.architecture_uri())));
  ASSIGN_OR_RETURN(const auto data_set,
                   sources_.OpenDataSet(task.data_set(), task.data_set_digest()));
  ASSIGN_OR_RETURN(const BlendSource blend, OpenBlend(task.blend(), &sources_));
  ASSIGN_OR_RETURN(Runner* const runner, Load(task.architecture_uri(), architecture));
  RETURN_IF_ERROR(runner->SetWeights(blend.ingredients, blend.coefficients, blend.dtype));

  MeasureOptions options;
  options.inputs = ToInputBindings(task.inputs());
  options.batch_size = task.batch_size();
  options.progress = [&](int64_t done) { return progress(done, data_set->size()); };
  RETURN_IF_ERROR(progress(0, data_set->size()));
  ASSIGN_OR_RETURN(const Measurement measurement, runner->Measure(*data_set, options));
  TaskOutcome outcome;
  outcome.examples = EncodeMeasurement(measurement, outcome.result.mutable_measured());
  return outcome;
}

absl::StatusOr<Runner*> TaskRunner::Load(const std::string& uri,
                                         const Sources::Architecture& architecture) {
  if (const auto* known = runners_.Find(architecture.digest)) return known->get();
  runners_.MakeRoom();
  auto loaded = Runner::Load(architecture.file.path, options_.device);
  if (!loaded.ok()) return Annotate(loaded.status(), absl::StrCat("architecture ", uri));
  // Loading read the file a second time: it must still be the one that the digest is of.
  const auto now = IdentifyFile(architecture.file.path);
  if (!now.ok() || !(*now == architecture.file)) {
    return Annotate(CheckDigest(architecture.digest, "another"),
                    absl::StrCat("architecture ", uri));
  }
  return runners_.Put(architecture.digest, *std::move(loaded))->get();
}

}  // namespace stockpot
