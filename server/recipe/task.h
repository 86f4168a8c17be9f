// Tasks and facts: units of work whose result is determined by their content, and those results.
//
// A task's key is a SHA-256 over everything that determines its result (DESIGN.md section 1):
//   measure       architecture digest, input bindings, ingredient digests in order, coefficients,
//                 soup dtype, tensor selection, data set digest, classes and classifier, problem,
//                 batch size, BatchNorm data, numerics class, version of the result;
//   not better    the measure's key, metric, number, whether ties win;
//   ensemble, gap the keys of the measures they are made of, coefficients, temperature, step;
//   learn         the measure, the options, the epoch and the state it begins with;
//   weights       digests and the tensor selection;
//   inspect …     the job's scope and the URI: what a name stands for may change between jobs;
//   list …        the job's scope, the pattern, how many it may match;
//   write soup    the job's scope, the blend, the dtype and the file format;
//   end budget    the job's scope;
//   publish …     nothing: it has an effect instead of a result, and none of its facts is stored.
// (Scope: PlanOptions::scope.)
// A fact is immutable and stored before anyone is told. A task that failed for a reason of its own
// input is a fact too: its status is not OK.
//
// The written form of a task is the JSON mapping of stockpot.worker.v1.Task, of a fact's result
// that of TaskResult (proto/stockpot/worker/v1/worker_service.proto). Thread safety: plain data.
#ifndef STOCKPOT_SERVER_RECIPE_TASK_H_
#define STOCKPOT_SERVER_RECIPE_TASK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/json_reader.h"
#include "server/recipe/recipe.h"
#include "server/recipe/spec.h"

namespace stockpot {

struct CheckpointReference {
  std::string uri;
  std::string digest;
};

// How checkpoints are read (worker.v1.CheckpointReading). Digests are of what was read so, and a
// job has one reading: it is part of no key.
struct CheckpointReadingSpec {
  std::string state_dict_key;
  std::vector<NameRule> renames;
  CheckpointReference adapter_base;  // "": none

  bool empty() const {
    return state_dict_key.empty() && renames.empty() && adapter_base.uri.empty();
  }
};

// A unit of work, ready to be given to a worker.
struct Task {
  std::string key;
  Json body;                  // JSON mapping of worker.v1.Task without the key: one member
  std::string description;    // for people and logs: "soup of 3 on held_out"
  int64_t example_count = 0;  // a measure's, for progress; else 0
  // The numerics class (WorkerInfo::numerics) that a measure's worker must have; "": any worker.
  std::string numerics;
  // Of a measure with a bar: the key of the fact that it does not clear it. What clears it, or
  // fails, is the fact that the same measure without a bar finds, under `key`.
  std::string not_better_key;

  // "inspect_checkpoint", "measure", …
  std::string kind() const { return body.empty() ? "" : body.begin().key(); }
};

Task InspectCheckpointTask(const std::string& scope, const std::string& uri,
                           const CheckpointReadingSpec& reading = {});
Task InspectArchitectureTask(const std::string& scope, const std::string& uri);
// `picture_count`: how many examples are given as pictures.
Task InspectDataSetTask(const std::string& scope, const DataSetSpec& data_set,
                        int picture_count = 0);
Task InspectClassifierTask(const std::string& scope, const ClassifierSpec& classifier);
Task ListSourcesTask(const std::string& scope, const std::string& uri_pattern, int max_count);

// Which tensors take part: Model.excluded_tensors and so on.
struct TensorSelectionReference {
  std::vector<std::string> excluded, from_base;
  CheckpointReference base;  // looked at where from_base is not empty
  CheckpointReadingSpec reading = {};
};

struct WeightsInputs {
  std::vector<CheckpointReference> ingredients;
  std::vector<double> coefficients;  // as Blend::coefficients
  std::string dtype;
  TensorSelectionReference selection;
};

// What a measure has to be better than for its score to matter (worker.v1.Bar).
struct BarInputs {
  Metric metric = Metric::kTop1;
  double number = 0;  // DecidingNumber()
  bool ties_win = false;
  std::vector<std::string> visiting_order_keys;  // determine nothing
};

struct MeasureInputs {
  std::string architecture_uri, architecture_digest;
  std::vector<InputBindingSpec> bindings;
  WeightsInputs weights;
  Problem problem = Problem::kClassification;
  DataSetSpec data_set;
  std::string data_set_digest;
  int64_t example_count = 0;
  std::string classifier_digest;  // of data_set.classifier
  int batch_size = 0;
  Precision precision = Precision::kFloat32;
  bool channels_last = false;
  // The data set that BatchNorm statistics are gathered from anew; none: they are averaged.
  std::optional<DataSetSpec> batch_norm;
  std::string batch_norm_digest;
  bool keep_logits = false;
  bool keep_margins = false;     // determines nothing
  std::optional<BarInputs> bar;  // is no part of the measure's key
  std::string numerics;
  std::string scope;  // "" unless the measure is one job's own (Compute.measure_again)
};
// The key alone, for looking up; the task, for giving to a worker.
std::string MeasureKey(const MeasureInputs& inputs);
// Of the fact that the measure of this key does not clear the bar.
std::string NotBetterKey(const std::string& measure_key, const BarInputs& bar);
Task MeasureTask(const MeasureInputs& inputs);
// The same, of a key that is known already.
Task MeasureTask(const MeasureInputs& inputs, const std::string& measure_key);

// Logits of a measure with keep_logits.
struct KeptLogitsReference {
  std::string key;
  WeightsInputs weights;
  int batch_size = 0;
};

struct EnsembleInputs {
  MeasureInputs measure;  // what the members have in common
  std::vector<KeptLogitsReference> members;
  double temperature = 1;
  bool fit_temperature = false;
  std::vector<double> coefficients;  // none: the mean
};
std::string EnsembleKey(const EnsembleInputs& inputs);
Task EnsembleTask(const EnsembleInputs& inputs);

// The terms of the paper's equation 2.
struct GapInputs {
  MeasureInputs measure;  // what all have in common
  KeptLogitsReference first, second;
  // Soups at coefficient - step, coefficient and coefficient + step.
  std::vector<WeightsInputs> soups;
  double coefficient = 0, step = 0;
};
std::string GapKey(const GapInputs& inputs);
Task GapTask(const GapInputs& inputs);

// Inner products of moves.
struct CompareInputs {
  std::vector<CheckpointReference> ingredients;
  CheckpointReference base;  // an empty URI: moves from the first ingredient
  TensorSelectionReference selection;
};
std::string CompareKey(const CompareInputs& inputs);
Task CompareTask(const CompareInputs& inputs);

// One epoch of a learned soup. `measure` has the ingredients, and a step's examples as batch_size.
struct LearnInputs {
  MeasureInputs measure;
  LearnSpec learn;
  int epoch = 0;
  std::string state;  // base64, as the JSON mapping has bytes; "" at first
};
std::string LearnKey(const LearnInputs& inputs);
Task LearnTask(const LearnInputs& inputs);

// A budget of workers' time that ran out: the engine, not a worker, finds the fact.
Task EndBudgetTask(const std::string& scope);
// Its result: after how many passes of the recipe over the held-out set.
Json EndBudgetResult(int64_t evaluations);

struct WriteSoupInputs {
  std::string scope;
  WeightsInputs weights;
  std::string folder;
  std::map<std::string, std::string> metadata;
  std::string format = "SAFETENSORS";
  int64_t max_shard_bytes = 0;
  // A measure with batch_norm, whose statistics are shipped.
  std::optional<MeasureInputs> reestimate;
};
Task WriteSoupTask(const WriteSoupInputs& inputs);

// Copies the files of a folder, in this order, to an object store; none: whether it could.
Task PublishArtifactsTask(const std::string& job, const std::string& folder,
                          const std::string& output_uri, const std::vector<std::string>& files);

// The key under which a task's result is a fact: the task's own, but for what does not clear a bar.
const std::string& FactKey(const Task& task, const Json& result);

// Digests of what a measure or a write reads: a worker that has it in memory is quicker.
std::vector<std::string> ContentOf(const Task& task);

// A task's result.
struct Fact {
  std::string key;
  absl::Status status;
  Json result;           // JSON mapping of worker.v1.TaskResult
  std::string examples;  // a measure's correctness bits and margins, as Result.examples says
  double seconds = 0;
  std::string job;  // which job's attempt found it
};

// What is known. Implementations say whether a lookup may be slow; the plan only looks up.
class Ledger {
 public:
  virtual ~Ledger() = default;
  // Null when not known. The pointer lives as long as the ledger is not changed.
  virtual const Fact* Find(const std::string& key) const = 0;
  // Fact::examples of a measure; null where they are not at hand. Only reports ask.
  virtual const std::string* FindExamples(const std::string&) const { return nullptr; }
};

// Results read back. INTERNAL when a fact does not hold what its task promises.
struct TensorSignature {
  std::string name, dtype;
  std::vector<int64_t> shape;
  friend bool operator==(const TensorSignature& a, const TensorSignature& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
  }
};
struct CheckpointFound {
  std::string digest, format, non_finite_tensor;
  std::string pinned_uri;  // "": the URI that was inspected stays as it is; of the others too
  std::vector<TensorSignature> tensors;  // sorted by name
  std::vector<std::string> notes;
  bool is_adapter = false;
};
struct ArchitectureFound {
  std::string digest, numerics, pinned_uri;
  std::vector<TensorSignature> tensors;        // sorted by name
  std::vector<std::string> buffers;            // names a checkpoint may leave out
  std::vector<std::string> batch_norms;        // modules whose statistics can be gathered anew
  std::vector<std::vector<std::string>> ties;  // names of one tensor each: one of them will do
};
struct DataSetFound {
  std::string digest, pinned_uri;
  int64_t example_count = 0, class_count = 0;
  // As its image transform's preset or file says.
  bool scale_to_unit = false;
  std::vector<float> mean, standard_deviation;
};
struct SoupFile {
  std::string file, sha256;
  int64_t size_bytes = 0;
};
struct SoupFound {
  std::vector<SoupFile> files;
  std::string content_digest;
};
struct ClassifierFound {
  std::string digest, pinned_uri;
  int64_t class_count = 0;
};
struct GapFound {
  double inverse_temperature = 0, soup_loss = 0, ensemble_loss = 0, second_derivative = 0,
         variance = 0, approximation = 0;
};
// URIs, at least one.
absl::StatusOr<std::vector<std::string>> ReadSourcesListed(const Fact& fact);
absl::StatusOr<ClassifierFound> ReadClassifierFound(const Fact& fact);
absl::StatusOr<GapFound> ReadGapFound(const Fact& fact);
// Row-major [count, count].
absl::StatusOr<std::vector<double>> ReadInnerProducts(const Fact& fact, size_t count);
// For `count` ingredients.
absl::StatusOr<LearnedCoefficients> ReadLearned(const Fact& fact, size_t count);
absl::StatusOr<CheckpointFound> ReadCheckpointFound(const Fact& fact);
absl::StatusOr<ArchitectureFound> ReadArchitectureFound(const Fact& fact);
absl::StatusOr<DataSetFound> ReadDataSetFound(const Fact& fact);
absl::StatusOr<Score> ReadScore(const Fact& fact);
// What a measure took, whether it gave a score or not.
struct MeasureCost {
  int64_t examples_evaluated = 0;
  int64_t examples_spared = 0;  // by a proof
};
absl::StatusOr<MeasureCost> ReadMeasureCost(const Fact& fact);
absl::StatusOr<SoupFound> ReadSoupFound(const Fact& fact);
absl::StatusOr<int64_t> ReadEndBudget(const Fact& fact);

// Why a checkpoint cannot be run by the architecture or averaged with the others, naming tensor,
// both shapes or dtypes; OK when it can. Tensors that `selection` leaves out or takes from the base
// are not looked at. `first` is the first usable checkpoint, or null. Code
// INVALID_ARGUMENT, reason CHECKPOINT_MISMATCH or CHECKPOINT_NOT_FINITE, metadata "tensor".
absl::Status CheckFits(const CheckpointFound& checkpoint, const ArchitectureFound& architecture,
                       const CheckpointFound* first,
                       const TensorSelectionReference& selection = {});

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_TASK_H_
