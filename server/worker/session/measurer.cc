#include "server/worker/session/measurer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/ensemble.h"
#include "server/worker/evaluation/gap.h"
#include "server/worker/evaluation/metrics.h"
#include "server/worker/evaluation/score_bar.h"
#include "server/worker/evaluation/temperature.h"
#include "server/worker/session/blend_source.h"
#include "server/worker/session/classifier_source.h"
#include "server/worker/session/task_messages.h"
#include "server/worker/session/weight_tasks.h"

namespace stockpot {
namespace {

constexpr uint64_t kMostMarginBytes = 1'000'000'000;

// Of kept logits: a language model's would be larger than all else on the disk.
absl::Status CheckKeeps(Problem problem) {
  if (problem != Problem::kLanguageModel) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a language model's logits are not kept, so that there are no ensembles of them");
}

// Examples of which only the sum so far is told.
class CountedExamples {
 public:
  explicit CountedExamples(WorkCounters* counters) : counters_(counters) {}
  void Reach(int64_t done) {
    counters_->CountExamples(done - done_);
    done_ = done;
  }

 private:
  WorkCounters* counters_;
  int64_t done_ = 0;
};

// What is made of losses or logits counts every example alike.
absl::Status CheckUnweighted(const DataSet& data_set) {
  if (data_set.weights().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "weight_tensor: ensembles, gaps and learned coefficients do not know weights");
}

}  // namespace

// The examples of several passes as those of one task.
class Measurer::Passes {
 public:
  explicit Passes(const Progress& progress) : progress_(progress) {}

  void Expect(int64_t passes, int64_t examples) {
    examples_ = examples;
    total_ = begin_ + passes * examples;
  }

  // What is read is no example: only whether to go on is asked.
  Progress Reading() {
    return [this](int64_t, int64_t) { return progress_(begin_, total_); };
  }

  // Of the pass that runs now.
  Progress Running() {
    return [this](int64_t done, int64_t) { return progress_(begin_ + done, total_); };
  }

  void End() { begin_ += examples_; }

 private:
  const Progress& progress_;
  int64_t examples_ = 0;  // of a pass
  int64_t begin_ = 0, total_ = 0;
};

Measurer::Measurer(Options options, Sources* sources, LoadModel load_model)
    : options_(std::move(options)), sources_(sources), load_model_(std::move(load_model)) {}

absl::StatusOr<Measurer::Opened> Measurer::Open(const worker::v1::Measure& measure,
                                                const Progress& reading) {
  Opened opened;
  opened.measure = &measure;
  ASSIGN_OR_RETURN(opened.architecture, FindArchitecture(measure, sources_, reading));
  const v1::DataSet& data_set = measure.data_set();
  ASSIGN_OR_RETURN(opened.data_set,
                   sources_->OpenDataSet(data_set, measure.data_set_digest(), reading));
  ASSIGN_OR_RETURN(opened.batch_norm, OpenBatchNormData(measure, sources_, reading));
  ASSIGN_OR_RETURN(opened.outputs.problem, ToProblem(measure.problem()));
  ASSIGN_OR_RETURN(opened.precision, ToPrecision(measure.precision()));
  // Before a model is loaded.
  RETURN_IF_ERROR(Annotate(CheckProblem(opened.outputs.problem, *opened.data_set),
                           absl::StrCat("data set ", data_set.uri())));
  opened.outputs.class_subset = {data_set.class_subset().begin(), data_set.class_subset().end()};
  if (data_set.has_classifier()) {
    ASSIGN_OR_RETURN(ClassifierSource source,
                     OpenClassifier(data_set.classifier(), sources_, reading));
    RETURN_IF_ERROR(Annotate(CheckDigest(measure.classifier_digest(), source.digest),
                             absl::StrCat("classifier ", data_set.classifier().uri())));
    opened.outputs.classifier = std::move(source.classifier);
  }
  return opened;
}

absl::StatusOr<LogitsCache> Measurer::OpenCache() const {
  return LogitsCache::Create(options_.logits_folder, options_.max_logits_bytes,
                             options_.fail_points);
}

absl::StatusOr<LogitsCache> Measurer::OpenMargins() const {
  return LogitsCache::Create(options_.margins_folder, kMostMarginBytes, /*fail_points=*/nullptr,
                             /*sync=*/false);
}

absl::Status Measurer::RunPass(const Opened& opened, const worker::v1::Blend& blend, int batch_size,
                               const OutputSink& sink, const Progress& progress,
                               absl::Span<const int64_t> order) {
  const Progress reading = [&](int64_t, int64_t) { return progress(0, 0); };
  ASSIGN_OR_RETURN(BlendSource source, OpenBlend(blend, sources_, reading));
  ASSIGN_OR_RETURN(Runner* const runner,
                   load_model_(opened.measure->architecture_uri(), opened.architecture,
                               source.selection.excluded));
  const BatchNormSource batch_norm{opened.batch_norm.get(), opened.measure, batch_size};
  const WorkCounters::Busy busy(options_.counters);
  const auto gathering = [&, counted = CountedExamples(options_.counters)](int64_t done) mutable {
    counted.Reach(done);
    return progress(done, 0);
  };
  RETURN_IF_ERROR(SetBlend(std::move(source), batch_norm, runner, gathering).status());
  MeasureOptions options;
  options.inputs = ToInputBindings(opened.measure->inputs());
  options.outputs = opened.outputs;
  options.batch_size = batch_size;
  options.precision = opened.precision;
  options.channels_last = opened.measure->channels_last();
  options.order = order;
  options.progress = [&](int64_t done) { return progress(opened.gathered() + done, 0); };
  RETURN_IF_ERROR(progress(opened.gathered(), 0));
  const auto counting = [&](const OutputBatch& batch) {
    options_.counters->CountExamples(batch.count);
    return sink(batch);
  };
  return runner->Run(*opened.data_set, options, counting);
}

absl::StatusOr<Measurement> Measurer::Score(const Opened& opened, const worker::v1::Blend& blend,
                                            int batch_size, double temperature,
                                            std::vector<float>* logits, const Progress& progress) {
  ASSIGN_OR_RETURN(const auto metrics,
                   Metrics::Create(opened.outputs.problem, *opened.data_set, temperature));
  const auto sink = [&](const OutputBatch& batch) -> absl::Status {
    RETURN_IF_ERROR(metrics->Add(batch));
    if (logits == nullptr) return absl::OkStatus();
    const auto classes = static_cast<size_t>(batch.classes);
    logits->resize(static_cast<size_t>(opened.data_set->size()) * classes);
    for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
      std::copy_n(batch.values.begin() + i * classes, classes,
                  logits->begin() + ExampleOf(batch, i) * batch.classes);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(RunPass(opened, blend, batch_size, sink, progress));
  return metrics->Finish();
}

absl::StatusOr<KeptLogits> Measurer::MeasureAndKeep(const Opened& opened, const std::string& key,
                                                    const worker::v1::Blend& blend, int batch_size,
                                                    const LogitsCache& cache,
                                                    Measurement* measurement,
                                                    const Progress& progress) {
  if (key.empty()) return absl::InvalidArgumentError("logits are kept under a key: it is empty");
  std::vector<float> logits;
  ASSIGN_OR_RETURN(*measurement, Score(opened, blend, batch_size, 1, &logits, progress));
  const int64_t classes = static_cast<int64_t>(logits.size()) / opened.data_set->size();
  return cache.Keep(key, classes, logits);
}

absl::StatusOr<TaskOutcome> Measurer::Measure(const std::string& key,
                                              const worker::v1::Measure& task,
                                              const Progress& progress) {
  Passes passes(progress);
  ASSIGN_OR_RETURN(const Opened opened, Open(task, passes.Reading()));
  passes.Expect(1, opened.examples());
  Measurement measurement;
  if (task.keep_logits()) {
    RETURN_IF_ERROR(CheckKeeps(opened.outputs.problem));
    ASSIGN_OR_RETURN(const LogitsCache cache, OpenCache());
    RETURN_IF_ERROR(MeasureAndKeep(opened, key, task.blend(), task.batch_size(), cache,
                                   &measurement, passes.Running())
                        .status());
  } else if (task.has_bar()) {
    return MeasureAgainstBar(opened, key, task, passes.Running());
  } else {
    ASSIGN_OR_RETURN(measurement,
                     Score(opened, task.blend(), task.batch_size(), 1, nullptr, passes.Running()));
  }
  KeepMargins(opened, key, task, measurement);
  TaskOutcome outcome;
  outcome.examples = EncodeMeasurement(measurement, outcome.result.mutable_measured());
  return outcome;
}

std::vector<int64_t> Measurer::VisitingOrder(const Opened& opened,
                                             const worker::v1::Measure& task) const {
  const absl::StatusOr<LogitsCache> cache = OpenMargins();
  std::vector<KeptLogits> kept;
  std::vector<absl::Span<const float>> margins;
  for (const std::string& key : task.visiting_order_keys()) {
    if (!cache.ok()) break;
    absl::StatusOr<KeptLogits> found = cache->Open(key, opened.data_set->size());
    if (!found.ok() || found->classes != 1) continue;
    margins.push_back(found->values);
    kept.push_back(*std::move(found));
  }
  return HardestFirst(opened.data_set->size(), margins);
}

void Measurer::KeepMargins(const Opened& opened, const std::string& key,
                           const worker::v1::Measure& task, const Measurement& measurement) const {
  if (!task.keep_margins() || key.empty()) return;
  const std::vector<float> margins =
      MarginsOf(measurement, opened.outputs.problem, *opened.data_set);
  if (margins.empty()) return;
  const absl::StatusOr<LogitsCache> cache = OpenMargins();
  if (cache.ok()) cache->Keep(key, /*classes=*/1, margins).IgnoreError();
}

absl::StatusOr<TaskOutcome> Measurer::MeasureAgainstBar(const Opened& opened,
                                                        const std::string& key,
                                                        const worker::v1::Measure& task,
                                                        const Progress& progress) {
  const Problem problem = opened.outputs.problem;
  ASSIGN_OR_RETURN(const ScoreBar bar, ToScoreBar(task.bar()));
  if (!opened.data_set->weights().empty() && !TakesWeights(bar.metric)) {
    return absl::InvalidArgumentError(
        absl::StrCat(MetricName(bar.metric), " is no mean over examples: it takes no weights"));
  }
  ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(problem, *opened.data_set));
  std::vector<int64_t> order;
  if (problem != Problem::kLanguageModel && opened.data_set->reads_well_in_any_order()) {
    order = VisitingOrder(opened, task);
  }
  int64_t examples = 0;
  bool beyond_reach = false;
  const auto sink = [&](const OutputBatch& batch) -> absl::Status {
    RETURN_IF_ERROR(metrics->Add(batch));
    examples += batch.count;
    beyond_reach = !Clears(bar, metrics->BestReachable());
    return beyond_reach ? absl::CancelledError("it cannot clear the bar") : absl::OkStatus();
  };
  const absl::Status ran = RunPass(opened, task.blend(), task.batch_size(), sink, progress, order);
  TaskOutcome outcome;
  // Of images that are streamed the end may be that they changed.
  if (beyond_reach && !absl::IsCancelled(ran)) return ran;
  if (!beyond_reach) {
    RETURN_IF_ERROR(ran);
    const Measurement measurement = metrics->Finish();
    KeepMargins(opened, key, task, measurement);
    if (Clears(bar, ScoreOf(measurement))) {
      outcome.examples = EncodeMeasurement(measurement, outcome.result.mutable_measured());
      return outcome;
    }
  }
  outcome.result.mutable_not_better()->set_example_count(opened.data_set->size());
  outcome.result.mutable_not_better()->set_examples_evaluated(examples);
  return outcome;
}

absl::StatusOr<std::vector<KeptLogits>> Measurer::OpenMembers(
    const Opened& opened, const std::vector<const worker::v1::KeptLogits*>& members,
    int more_passes, Passes* passes) {
  const int64_t examples = opened.data_set->size();
  ASSIGN_OR_RETURN(const LogitsCache cache, OpenCache());
  std::vector<KeptLogits> kept(members.size());
  int missing = 0;
  const auto open = [&](size_t k) {
    auto found = cache.Open(members[k]->key(), examples);
    if (!found.ok()) return false;
    kept[k] = *std::move(found);
    return true;
  };
  for (size_t k = 0; k < members.size(); ++k) {
    const bool found = open(k);
    options_.counters->CountLookup(kLogitsCache, found);
    missing += !found;
  }
  passes->Expect(missing + more_passes, opened.examples());
  for (size_t k = 0; k < members.size(); ++k) {
    if (kept[k].file != nullptr) continue;
    if (!open(k)) {  // the same may come twice
      Measurement measurement;
      auto made = MeasureAndKeep(opened, members[k]->key(), members[k]->blend(),
                                 members[k]->batch_size(), cache, &measurement, passes->Running());
      if (!made.ok()) return Annotate(made.status(), absl::StrCat("member ", k));
      kept[k] = *std::move(made);
    }
    passes->End();
  }
  return kept;
}

absl::StatusOr<TaskOutcome> Measurer::MeasureEnsemble(const worker::v1::MeasureEnsemble& task,
                                                      const Progress& progress) {
  Passes passes(progress);
  ASSIGN_OR_RETURN(const Opened opened, Open(task.measure(), passes.Reading()));
  RETURN_IF_ERROR(CheckKeeps(opened.outputs.problem));
  RETURN_IF_ERROR(CheckUnweighted(*opened.data_set));
  if (task.members().empty()) return absl::InvalidArgumentError("an ensemble of no members");
  std::vector<const worker::v1::KeptLogits*> members;
  for (const worker::v1::KeptLogits& member : task.members()) members.push_back(&member);
  ASSIGN_OR_RETURN(const std::vector<KeptLogits> kept, OpenMembers(opened, members, 1, &passes));

  Ensemble ensemble{.members = {},
                    .coefficients = {task.coefficients().begin(), task.coefficients().end()},
                    .classes = kept[0].classes};
  for (const KeptLogits& member : kept) ensemble.members.push_back(member.values);
  const EnsembleOptions options{.temperature = task.temperature() == 0 ? 1 : task.temperature(),
                                .fit_temperature = task.fit_temperature(),
                                .problem = opened.outputs.problem};
  ASSIGN_OR_RETURN(
      const EnsembleMeasurement found,
      stockpot::MeasureEnsemble(ensemble, *opened.data_set, options, passes.Running()));
  TaskOutcome outcome;
  worker::v1::Measured* measured = outcome.result.mutable_measured();
  outcome.examples = EncodeMeasurement(found.measurement, measured);
  measured->set_temperature(found.temperature);
  return outcome;
}

absl::StatusOr<TaskOutcome> Measurer::LearnCoefficients(const worker::v1::LearnCoefficients& task,
                                                        const Progress& progress) {
  int64_t total = 0;
  const Progress reading = [&](int64_t, int64_t) { return progress(0, total); };
  ASSIGN_OR_RETURN(const Opened opened, Open(task.measure(), reading));
  RETURN_IF_ERROR(CheckUnweighted(*opened.data_set));
  total = opened.data_set->size();
  ASSIGN_OR_RETURN(const BlendSource blend, OpenBlend(task.measure().blend(), sources_, reading));
  ASSIGN_OR_RETURN(Runner* const runner,
                   load_model_(task.measure().architecture_uri(), opened.architecture,
                               blend.selection.excluded));
  RETURN_IF_ERROR(progress(0, total));
  const WorkCounters::Busy busy(options_.counters);
  const Progress learning = [&, counted = CountedExamples(options_.counters)](int64_t done,
                                                                              int64_t of) mutable {
    counted.Reach(done);
    return progress(done, of);
  };
  TaskOutcome outcome;
  ASSIGN_OR_RETURN(
      *outcome.result.mutable_coefficients(),
      stockpot::LearnCoefficients(task, blend, opened.outputs, *opened.data_set, runner, learning));
  return outcome;
}

absl::StatusOr<TaskOutcome> Measurer::MeasureGap(const worker::v1::MeasureGap& task,
                                                 const Progress& progress) {
  Passes passes(progress);
  ASSIGN_OR_RETURN(const Opened opened, Open(task.measure(), passes.Reading()));
  RETURN_IF_ERROR(CheckUnweighted(*opened.data_set));
  if (opened.outputs.problem != Problem::kClassification) {
    return absl::InvalidArgumentError("soup minus ensemble is known for CLASSIFICATION alone");
  }
  if (task.soups_size() != 3 || !(task.step() > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a gap takes three soups and a positive step, not ", task.soups_size(),
                     " and ", task.step()));
  }
  ASSIGN_OR_RETURN(const std::vector<KeptLogits> ends,
                   OpenMembers(opened, {&task.first(), &task.second()}, 3, &passes));
  const auto score = [&](int soup, double temperature,
                         std::vector<float>* logits) -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const Measurement found, Score(opened, task.soups(soup), task.batch_size(),
                                                    temperature, logits, passes.Running()));
    passes.End();
    return found.cross_entropy_sum / static_cast<double>(found.example_count);
  };
  std::vector<float> logits;
  RETURN_IF_ERROR(score(1, 1, &logits).status());
  for (const KeptLogits& end : ends) {
    if (end.values.size() == logits.size()) continue;
    return WithReason(absl::InvalidArgumentError("the soup and its end points give other logits"),
                      "MODEL_OUTPUT_MISMATCH");
  }
  const LabelledLogits soup{logits, ends[0].classes, opened.data_set->labels()};
  ASSIGN_OR_RETURN(const double temperature,
                   FitTemperature(soup, [&] { return passes.Reading()(0, 0); }));
  GapTerms terms =
      MeasureGapTerms(soup, ends[0].values, ends[1].values, task.coefficient(), 1 / temperature);
  ASSIGN_OR_RETURN(const double before, score(0, temperature, nullptr));
  ASSIGN_OR_RETURN(const double after, score(2, temperature, nullptr));
  FinishGap(before, after, task.coefficient(), task.step(), &terms);
  TaskOutcome outcome;
  *outcome.result.mutable_gap() = ToGapFound(terms);
  return outcome;
}

}  // namespace stockpot
