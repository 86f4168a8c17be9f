// recipe: blends, tasks, facts, the ledger, and every recipe — all pure, no clock, no file, no
// model.
//
// This header: what a client asked for, as plain structs. The stored form is the JSON mapping of
// stockpot.v1.JobSpec (proto/stockpot/v1/spec.proto), which documents every field's meaning and
// default. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_RECIPE_SPEC_H_
#define STOCKPOT_SERVER_RECIPE_SPEC_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/json_reader.h"

namespace stockpot {

struct InputBindingSpec {
  std::string data_set_input;
  std::string argument;
  bool scale_to_unit = false;
  std::vector<float> mean, standard_deviation;
};

struct IngredientSpec {
  std::string uri;
  std::string display_name;  // never empty after parsing
};

struct DataSetSpec {
  std::string name;
  std::string uri;
  std::string format;  // "IMAGE_FOLDER" or "TENSORS", resolved
  int resize_shorter_side = 0, resize_height = 0, resize_width = 0;
  std::string interpolation = "BICUBIC";
  bool no_antialias = false;
  int crop_height = 0, crop_width = 0;
  std::string label_tensor = "labels";
  std::vector<std::string> input_tensors;
  std::vector<std::string> class_names;
};

enum class Metric { kTop1, kTop5, kCrossEntropy };
enum class RecipeKind { kGreedy, kUniform };
enum class Acceptance { kStrictImprovement, kNotWorse };

struct JobSpec {
  std::string architecture_uri;
  std::vector<InputBindingSpec> inputs;
  std::vector<IngredientSpec> ingredients;
  std::vector<DataSetSpec> data_sets;  // the held-out set first, then the report sets
  Metric metric = Metric::kTop1;
  bool report_every_ingredient = false;
  RecipeKind recipe = RecipeKind::kGreedy;
  Acceptance acceptance = Acceptance::kStrictImprovement;
  std::string dtype = "STORED";
  std::string output_format = "SAFETENSORS";  // or "TORCH_SAVE"
  int64_t max_shard_bytes = 5'000'000'000;
  std::string output_uri;  // "": the server's data folder
  int batch_size = 250;
  int speculation = 0;
  bool measure_again = false;
  absl::Duration timeout = absl::InfiniteDuration();
  absl::Duration task_timeout = absl::InfiniteDuration();
  int64_t max_evaluations = 0;  // 0: no budget
  absl::Duration max_worker_time = absl::InfiniteDuration();
  bool skip_bad_ingredients = false;
};

struct SpecLimits {
  int max_ingredients = 1000;
  int max_report_sets = 100;
  int max_batch_size = 65536;
};

// Reads and checks the JSON mapping of JobSpec, with defaults filled in. Every violation is
// reported, with its field path below `path`. Errors: INVALID_ARGUMENT, reason INVALID_FIELD.
absl::StatusOr<JobSpec> ParseJobSpec(const Json& json, const std::string& path,
                                     const SpecLimits& limits);

// One data set alone, for InspectSource.
absl::StatusOr<DataSetSpec> ParseDataSetSpec(const Json& json, const std::string& path);

// The JSON mapping again.
Json ToJson(const DataSetSpec& data_set);
Json ToJson(const InputBindingSpec& binding);

absl::string_view MetricName(Metric metric);          // "TOP1"
absl::string_view AcceptanceName(Acceptance choice);  // "STRICT_IMPROVEMENT"

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_SPEC_H_
