// A job as flags of `stockpot submit`, over the job of a file or an empty one.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_CLIENT_CLI_JOB_FLAGS_H_
#define STOCKPOT_CLIENT_CLI_JOB_FLAGS_H_

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

// Only what is given changes the job. Paths are local paths, file:// URIs, or what else the server
// takes. Defaults are the server's unless said otherwise.
struct JobFlags {
  std::string architecture;
  std::vector<std::string> ingredients;  // globs; replace those of the file
  std::string held_out;
  std::vector<std::string> report_sets;  // NAME=PATH; with the next two they replace the file's
  std::vector<std::string> shift_sets;   // of role DISTRIBUTION_SHIFT
  std::string final_set;                 // of role FINAL
  std::string label_tensor;              // for every data set of tensors

  std::string input;                      // data-set input of the binding; default: images
  std::vector<float> mean;                // per channel
  std::vector<float> standard_deviation;  // as many
  std::optional<bool> scale_to_unit;      // default with the three above: for images
  std::string resize;                     // "S" (shorter side) or "HxW"
  std::string crop;                       // "S" (square) or "HxW"
  std::string interpolation;              // bicubic | bilinear
  std::string preset, preprocessor;       // torchvision-v1 | … | clip-336; a file
  bool no_antialias = false;

  std::string base;  // the model that the fine-tunes began with
  std::string state_dict_key;
  std::vector<std::string> renames;      // PATTERN=NAME
  std::string problem;                   // classification | regression | language-model
  std::string metric;                    // a word of MetricWords()
  std::string recipe;                    // a word of RecipeWords(), no ensemble
  std::vector<std::string> comparisons;  // words of RecipeWords()
  std::string acceptance;                // strict | not-worse
  bool wise_ft = false;
  bool full_scores = false;
  bool calibration = false;
  bool angles = false;
  std::string dtype;          // stored | float32 | bfloat16 | float16
  std::string output_format;  // safetensors | torch-save
  std::optional<int64_t> max_shard_bytes;
  std::string output_uri;
  std::string on_bad_ingredient;  // fail | skip
  bool report_every_ingredient = false;
  std::optional<int32_t> batch_size;
  std::string precision;
  bool channels_last = false;
  std::optional<int32_t> speculation;
  bool measure_again = false;

  std::string job_timeout;      // durations: "90s", "1h30m"
  std::string task_timeout;     //
  std::string max_task_time;    //
  std::string max_worker_time;  //
  std::optional<int64_t> max_evaluations;

  std::string display_name;
  std::vector<std::string> labels;  // KEY=VALUE; others of the file stay
  std::optional<int32_t> priority;
};

// The API's enumerators as words of a command line: "cross-entropy", "f1-macro", …
std::vector<std::string> MetricWords();
// "greedy", "learned-per-tensor", "logit-ensemble", …
std::vector<std::string> RecipeWords(bool with_ensembles);

// Declares the flags on `command`; `flags` must outlive the parsing.
void AddJobFlags(CLI::App& command, JobFlags& flags);

// Puts the flags into the job. Errors: INVALID_ARGUMENT that names the flag.
absl::Status ApplyJobFlags(const JobFlags& flags, v1::Job& job);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_JOB_FLAGS_H_
