#include "server/worker/session/task_runner.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/example_pictures.h"
#include "server/worker/session/artifact_publisher.h"
#include "server/worker/session/blend_source.h"
#include "server/worker/session/classifier_source.h"
#include "server/worker/session/soup_writer.h"
#include "server/worker/session/task_messages.h"
#include "server/worker/session/weight_tasks.h"

namespace stockpot {

TaskRunner::TaskRunner(Options options, AllowList allow_list)
    : options_(Counted(std::move(options), &unread_counters_)),
      allow_list_(allow_list),
      sources_(options_.sources, std::move(allow_list), options_.fail_points,
               options_.remote_files),
      runners_(options_.kept_models),
      measurer_({.logits_folder = options_.sources.cache_folder + "/logits",
                 .max_logits_bytes = options_.sources.max_logits_bytes,
                 .margins_folder = options_.sources.cache_folder + "/margins",
                 .fail_points = options_.fail_points,
                 .counters = options_.counters},
                &sources_, [this](const auto& uri, const auto& architecture, const auto& excluded) {
                  return Load(uri, architecture, excluded);
                }) {}

TaskRunner::Options TaskRunner::Counted(Options options, WorkCounters* unread) {
  if (options.counters == nullptr) options.counters = unread;
  options.sources.counters = options.counters;
  return options;
}

void TaskRunner::Reach(absl::string_view fail_point) const {
  if (options_.fail_points != nullptr) options_.fail_points->Reach(fail_point);
}

absl::StatusOr<TaskOutcome> TaskRunner::Run(const worker::v1::Task& task,
                                            const Progress& progress) {
  Reach("task_begun");
  absl::StatusOr<TaskOutcome> outcome = RunKind(task, progress);
  if (GetErrorFacts(outcome.status()).reason == "OUT_OF_MEMORY") {
    runners_.Clear();
    ReleaseUnusedMemory();
  }
  Reach("result_ready");
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::RunKind(const worker::v1::Task& task,
                                                const Progress& progress) try {
  using worker::v1::Task;
  switch (task.task_case()) {
    case Task::kInspectCheckpoint:
      return InspectCheckpoint(task.inspect_checkpoint(), progress);
    case Task::kInspectArchitecture:
      return InspectArchitecture(task.inspect_architecture(), progress);
    case Task::kInspectDataSet:
      return InspectDataSet(task.inspect_data_set(), progress);
    case Task::kListSources:
      return ListSources(task.list_sources(), progress);
    case Task::kMeasure:
      return measurer_.Measure(task.key(), task.measure(), progress);
    case Task::kMeasureEnsemble:
      return measurer_.MeasureEnsemble(task.measure_ensemble(), progress);
    case Task::kMeasureGap:
      return measurer_.MeasureGap(task.measure_gap(), progress);
    case Task::kInspectClassifier:
      return InspectClassifier(task.inspect_classifier(), progress);
    case Task::kWriteSoup:
      return WriteSoup(task.write_soup(), progress);
    case Task::kPublishArtifacts: {
      TaskOutcome outcome;
      ASSIGN_OR_RETURN(
          *outcome.result.mutable_published(),
          PublishArtifacts(task.publish_artifacts(), allow_list_, options_.remote_files, progress));
      return outcome;
    }
    case Task::kCompareWeights:
      return CompareWeights(task.compare_weights(), progress);
    case Task::kLearnCoefficients:
      return measurer_.LearnCoefficients(task.learn_coefficients(), progress);
    default:
      break;
  }
  return absl::InvalidArgumentError("a task of no kind that this worker knows");
} catch (const std::bad_alloc&) {  // of readers and writers, whose buffers are as large as tensors
  return WithReason(absl::ResourceExhaustedError("the worker ran out of memory"), "OUT_OF_MEMORY");
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectCheckpoint(const worker::v1::InspectCheckpoint& task,
                                                          const Progress& progress) {
  ASSIGN_OR_RETURN(const Sources::Checkpoint checkpoint,
                   sources_.OpenCheckpoint(task.uri(), task.reading(), progress));
  TaskOutcome outcome;
  worker::v1::CheckpointFound* found = outcome.result.mutable_checkpoint();
  found->set_digest(checkpoint.content.digest);
  found->set_format(std::string(checkpoint.state_dict->format()));
  found->set_byte_count(static_cast<int64_t>(checkpoint.content.byte_count));
  AddSignatures(checkpoint.state_dict->tensors(), found->mutable_tensors());
  for (const std::string& note : checkpoint.state_dict->notes()) found->add_notes(ToUtf8(note));
  found->set_non_finite_tensor(ToUtf8(checkpoint.content.non_finite_tensor));
  found->set_pinned_uri(checkpoint.pinned_uri);
  found->set_is_adapter(checkpoint.is_adapter);
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectArchitecture(
    const worker::v1::InspectArchitecture& task, const Progress& progress) {
  ASSIGN_OR_RETURN(const auto architecture, sources_.FindArchitecture(task.uri(), "", progress));
  ASSIGN_OR_RETURN(const Runner* const runner, Load(task.uri(), architecture));
  TaskOutcome outcome;
  worker::v1::ArchitectureFound* found = outcome.result.mutable_architecture();
  found->set_digest(architecture.digest);
  found->set_pinned_uri(architecture.pinned_uri);
  found->set_numerics(runner->device().numerics);
  AddSignatures(runner->tensors(), found->mutable_tensors());
  for (const std::string& buffer : runner->buffers()) found->add_buffers(ToUtf8(buffer));
  for (const std::string& layer : runner->batch_norms()) found->add_batch_norms(ToUtf8(layer));
  for (const std::vector<std::string>& tie : runner->ties()) {
    worker::v1::TiedTensors* const names = found->add_ties();
    for (const std::string& name : tie) names->add_names(ToUtf8(name));
  }
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectDataSet(const worker::v1::InspectDataSet& task,
                                                       const Progress& progress) {
  ASSIGN_OR_RETURN(const auto opened, sources_.OpenDataSet(task.data_set(), progress));
  const auto& data_set = opened.data_set;
  TaskOutcome outcome;
  worker::v1::DataSetFound* found = outcome.result.mutable_data_set();
  found->set_pinned_uri(opened.pinned_uri);
  found->set_digest(data_set->digest());
  found->set_example_count(data_set->size());
  found->set_class_count(data_set->class_count());
  for (const std::string& name : data_set->class_names()) found->add_class_names(ToUtf8(name));
  for (const InputInfo& input : data_set->inputs()) {
    *found->add_inputs() = ToSignature(input.name, input.dtype, input.shape);
  }
  AddLabels(*data_set, found);
  ASSIGN_OR_RETURN(const auto pictures, PicturesOf(*data_set, task.picture_count()));
  for (const ExamplePicture& picture : pictures) {
    worker::v1::ExamplePicture* const added = found->add_pictures();
    added->set_png(picture.png);
    added->set_label(ToUtf8(picture.label));
  }
  if (data_set->has_images()) {
    *found->mutable_image_transform() = ToImageTransform(opened.geometry);
  }
  if (opened.preset.has_value()) {
    found->set_scale_to_unit(opened.preset->scale_to_unit);
    found->mutable_mean()->Add(opened.preset->mean.begin(), opened.preset->mean.end());
    found->mutable_standard_deviation()->Add(opened.preset->standard_deviation.begin(),
                                             opened.preset->standard_deviation.end());
  }
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::ListSources(const worker::v1::ListSources& task,
                                                    const Progress& progress) {
  const auto most = static_cast<size_t>(std::max(task.max_count(), 0));
  ASSIGN_OR_RETURN(const auto uris, sources_.Expand(task.uri_pattern(), most, progress));
  TaskOutcome outcome;
  for (const std::string& uri : uris) outcome.result.mutable_sources()->add_uris(uri);
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::InspectClassifier(const worker::v1::InspectClassifier& task,
                                                          const Progress& progress) {
  v1::Classifier classifier;
  classifier.set_uri(task.uri());
  classifier.set_weight_tensor(task.weight_tensor());
  classifier.set_bias_tensor(task.bias_tensor());
  ASSIGN_OR_RETURN(const ClassifierSource source, OpenClassifier(classifier, &sources_, progress));
  TaskOutcome outcome;
  worker::v1::ClassifierFound* found = outcome.result.mutable_classifier();
  found->set_digest(source.digest);
  found->set_pinned_uri(source.pinned_uri);
  found->set_class_count(source.class_count);
  found->set_feature_count(source.feature_count);
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::WriteSoup(const worker::v1::WriteSoup& task,
                                                  const Progress& progress) {
  int64_t before = 0;  // what was read, then examples that BatchNorm layers gathered from
  int64_t last = 0;    // of the source that is read
  const Progress reading = [&](int64_t done, int64_t) {
    if (done > 0 && done != last) ++before;
    last = done;
    return progress(before, 0);
  };
  ASSIGN_OR_RETURN(BlendSource blend, OpenBlend(task.blend(), &sources_, reading));
  if (task.has_reestimate()) {
    const worker::v1::Measure& measure = task.reestimate();
    ASSIGN_OR_RETURN(const auto architecture, FindArchitecture(measure, &sources_, reading));
    ASSIGN_OR_RETURN(const auto batch_norm, OpenBatchNormData(measure, &sources_, reading));
    ASSIGN_OR_RETURN(Runner* const runner,
                     Load(measure.architecture_uri(), architecture, blend.selection.excluded));
    int64_t examples = 0;
    const auto gathering = [&](int64_t done) { return progress(before + (examples = done), 0); };
    ASSIGN_OR_RETURN(blend,
                     SetBlend(std::move(blend), {batch_norm.get(), &measure, measure.batch_size()},
                              runner, gathering));
    before += examples;
  }
  const Progress writing = [&](int64_t done, int64_t total) {
    return progress(before + done, before + total);
  };
  TaskOutcome outcome;
  ASSIGN_OR_RETURN(*outcome.result.mutable_soup(),
                   WriteSoupFiles(blend, task, options_.sources.checkpoint_limits, writing,
                                  options_.fail_points));
  return outcome;
}

absl::StatusOr<TaskOutcome> TaskRunner::CompareWeights(const worker::v1::CompareWeights& task,
                                                       const Progress& progress) {
  TaskOutcome outcome;
  ASSIGN_OR_RETURN(*outcome.result.mutable_weights(),
                   stockpot::CompareWeights(task, &sources_, progress));
  return outcome;
}

bool TaskRunner::MayBeCompiled(const std::string& uri) const {
  const AllowList& allowed = options_.compiled;
  return (IsRemoteUri(uri) ? allowed.CheckArchitecture(uri) : allowed.ResolveArchitecture(uri))
      .ok();
}

absl::StatusOr<Runner*> TaskRunner::Load(const std::string& uri,
                                         const Sources::Architecture& architecture,
                                         const std::vector<std::string>& excluded) {
  if (const auto* known = runners_.Find(architecture.digest)) {
    if ((*known)->AllowMissing(excluded)) return known->get();
    runners_.Remove(architecture.digest);
  }
  runners_.MakeRoom();
  auto loaded = Runner::Load(architecture.file.path, options_.device, MayBeCompiled(uri));
  if (!loaded.ok()) return Annotate(loaded.status(), absl::StrCat("architecture ", uri));
  // Loading read the file a second time: it must still be the one that the digest is of.
  const auto now = IdentifyFile(architecture.file.path);
  if (!now.ok() || !(*now == architecture.file)) {
    return Annotate(CheckDigest(architecture.digest, "another"),
                    absl::StrCat("architecture ", uri));
  }
  (*loaded)->AllowMissing(excluded);
  return runners_.Put(architecture.digest, *std::move(loaded))->get();
}

}  // namespace stockpot
