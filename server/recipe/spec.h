// recipe: blends, tasks, facts, the ledger, and every recipe — all pure, no clock, no file, no
// model.
//
// This header: what a client asked for, as plain structs. The stored form is the JSON mapping of
// stockpot.v1.JobSpec (proto/stockpot/v1/spec.proto), which documents every field's meaning and
// default. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_RECIPE_SPEC_H_
#define STOCKPOT_SERVER_RECIPE_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/json_reader.h"
#include "server/base/name_rule.h"
#include "server/base/precision.h"
#include "server/base/problem.h"
#include "server/base/score.h"

namespace stockpot {

struct InputBindingSpec {
  std::string data_set_input;
  std::string argument;
  bool scale_to_unit = false;
  std::vector<float> mean, standard_deviation;
  bool normalize_as_held_out = false;
};

struct IngredientSpec {
  std::string uri;
  std::string uri_pattern;   // in place of uri: this stands for what it matches
  std::string display_name;  // never empty after parsing
  std::string group;         // "": a group of its own
  // `uri` ends with "/", and whether it is one checkpoint or stands for those below it is not known
  // yet (base/checkpoint_folder.h).
  bool is_folder = false;

  bool is_one() const { return uri_pattern.empty() && !is_folder; }
};

enum class DataSetRole { kHeldOut, kTest, kDistributionShift, kFinal };

struct ClassifierSpec {
  std::string uri;
  std::string weight_tensor = "weight";
  std::string bias_tensor;
  bool normalize_features = false;
  double scale = 1;
};

struct SubsetSpec {
  double fraction = 0;  // 0: count
  int64_t count = 0;
  uint64_t seed = 0;
  bool complement = false;
};

struct DataSetSpec {
  std::string name;
  std::string uri;
  std::string format;  // DataSet.Format, resolved: never unspecified
  int resize_shorter_side = 0, resize_height = 0, resize_width = 0;
  std::string interpolation = "BICUBIC";
  bool no_antialias = false;
  int crop_height = 0, crop_width = 0;
  std::string crop_begin = "NEAREST";
  std::string preset, config_uri;       // of the image transform; "": none
  std::string label_tensor = "labels";  // "": the format's default, of those that have another one
  std::vector<std::string> input_tensors;
  std::vector<std::string> class_names;
  std::string image_column, split;
  std::map<std::string, std::string> label_map;
  std::map<std::string, double> pad_values;
  std::string weight_tensor;  // "": none
  std::optional<SubsetSpec> subset;
  int64_t limit = 0;
  DataSetRole role = DataSetRole::kTest;
  std::vector<int64_t> class_subset;
  std::optional<ClassifierSpec> classifier;
};

enum class RecipeKind {
  kGreedy,
  kUniform,
  kBestSingle,
  kLearned,
  kLogitEnsemble,
  kGreedyLogitEnsemble,
};
enum class Acceptance { kStrictImprovement, kNotWorse };
enum class CandidateOrder { kBestFirst, kAsGiven, kRandom };
enum class EnsembleRanking { kNone, kOrder, kFilter };

struct LearnSpec {
  bool per_tensor = false;
  std::string constraint = "SOFTMAX";
  int epochs = 5;
  int batch_size = 0;  // never 0 after parsing
  double learning_rate = 0.05;
  double weight_decay = 0;
  uint64_t seed = 0;
  bool fixed_temperature = false;
};

struct WiseFtSpec {
  std::vector<double> coefficients;  // never empty after parsing
  bool select = false;
};

struct RecipeSpec {
  RecipeKind kind = RecipeKind::kGreedy;
  Acceptance acceptance = Acceptance::kStrictImprovement;
  CandidateOrder order = CandidateOrder::kBestFirst;
  uint64_t seed = 0;
  int repeats = 1;
  EnsembleRanking ensemble_ranking = EnsembleRanking::kNone;
  LearnSpec learn;
  std::optional<WiseFtSpec> wise_ft;
};

struct PairAnalysisSpec {
  std::vector<double> coefficients;        // never empty after parsing
  std::vector<std::pair<int, int>> pairs;  // positions of ingredients; never empty after parsing
  bool approximation = false;
  double step = 0.1;
  int data_set = 0;  // position in JobSpec::data_sets
};

struct LandscapeSpec {
  int models[3] = {0, 0, 0};  // positions of ingredients, or kBase
  int points = 9;
  double low = -0.5, high = 1.5;
  int data_set = 0;
};

struct AnalysisSpec {
  bool calibration = false;
  bool angles = false;
  std::optional<PairAnalysisSpec> pairs;
  std::optional<LandscapeSpec> landscape;
};

struct BatchNormSpec {
  DataSetSpec data_set;
  bool final_soup_only = false;
};

struct ConfidenceSpec {
  double level = 0.95;
  int bootstrap_samples = 10'000;
  uint64_t seed = 0;
};

// Stands for JobSpec::base_uri where a position of an ingredient is expected.
inline constexpr int kBase = -1;

struct JobSpec {
  std::string architecture_uri;
  std::vector<InputBindingSpec> inputs;
  std::string base_uri;  // "": none
  std::vector<std::string> tensors_from_base, excluded_tensors;
  std::string state_dict_key;
  std::vector<NameRule> tensor_renames;
  std::vector<IngredientSpec> ingredients;
  std::vector<DataSetSpec> data_sets;  // the held-out set first, then the report sets
  Problem problem = Problem::kClassification;
  Metric metric = Metric::kTop1;
  ConfidenceSpec confidence;
  bool report_every_ingredient = false;
  bool full_scores = false;
  RecipeSpec recipe;
  std::vector<RecipeSpec> comparisons;
  AnalysisSpec analysis;
  std::optional<BatchNormSpec> batch_norm;
  std::string dtype = "STORED";
  std::string output_format = "SAFETENSORS";  // or "TORCH_SAVE"
  int64_t max_shard_bytes = 5'000'000'000;
  std::string output_uri;  // "": the server's data folder
  int batch_size = 250;
  Precision precision = Precision::kFloat32;
  bool channels_last = false;
  int speculation = 0;
  bool measure_again = false;
  bool disable_early_stopping = false;
  absl::Duration timeout = absl::InfiniteDuration();
  absl::Duration task_timeout = absl::InfiniteDuration();
  absl::Duration max_task_time = absl::InfiniteDuration();
  int64_t max_evaluations = 0;  // 0: no budget
  absl::Duration max_worker_time = absl::InfiniteDuration();
  bool skip_bad_ingredients = false;

  // Some ingredient stands for others (ingredient_patterns.h).
  bool has_patterns() const;  // or folders: an ingredient that may be several
};

struct SpecLimits {
  int max_ingredients = 1000;
  int max_report_sets = 100;
  int max_batch_size = 65536;
};

// Reads and checks the JSON mapping of JobSpec, with defaults filled in. Every violation is
// reported, with its field path below `path`. While there are patterns nobody knows the
// ingredients: where the spec names some, that is not checked, and means the first. Errors:
// INVALID_ARGUMENT, reason INVALID_FIELD.
absl::StatusOr<JobSpec> ParseJobSpec(const Json& json, const std::string& path,
                                     const SpecLimits& limits);

// One data set alone, for InspectSource.
absl::StatusOr<DataSetSpec> ParseDataSetSpec(const Json& json, const std::string& path);

// How tensors are found and named, as Model and worker.v1.CheckpointReading have it.
void ReadNaming(JsonReader& reader, const std::string& key_field, const std::string& renames_field,
                std::string* state_dict_key, std::vector<NameRule>* renames);

// The JSON mapping again, without what is the default and came later than tasks' keys: those stay.
Json ToJson(const DataSetSpec& data_set);
Json ToJson(const InputBindingSpec& binding);

// As the proto's enumerators: "CLASSIFICATION", "STRICT_IMPROVEMENT", …
absl::string_view ProblemName(Problem problem);
absl::string_view AcceptanceName(Acceptance choice);
absl::string_view CandidateOrderName(CandidateOrder order);
absl::string_view EnsembleRankingName(EnsembleRanking ranking);
std::string RoleName(DataSetRole role);  // "held_out", as in reports

bool IsEnsemble(RecipeKind kind);
// Which problem a metric is of.
bool Fits(Metric metric, Problem problem);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_SPEC_H_
