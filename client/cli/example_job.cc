#include "client/cli/example_job.h"

#include "absl/strings/str_replace.h"

namespace stockpot::cli {
namespace {

constexpr char kTemplate[] = R"(# A job of Stockpot. Put your paths in, and make its soup:
#   stockpot run --file job.yaml --out soup              without a server
#   stockpot submit --file job.yaml --watch --out soup   on one
#
# Lines such as `#base_uri: …` are more that can be asked for: take the # away. All fields, with their defaults, are
# documented in proto/stockpot/v1/spec.proto. Relative paths are taken from this file's folder; URIs (https://, hf://,
# s3://, gs://, abfs://) are read by the server.

model:
  # torch.jit.script(model).save("architecture.pt"), or stockpot.export in Python.
  architecture_uri: architecture.pt
INPUTS
  # The model that all fine-tunes began with: for wise_ft and angles below, and for LoRA adapters.
  #base_uri: base.safetensors

# The checkpoints to choose from: safetensors, torch.save files, folders of transformers or peft.
ingredients:
  - uri_pattern: sweep/*.safetensors
  # Or one by one; the earlier of two equals counts as better.
  #- {uri: sweep/other.safetensors, display_name: other}

evaluation:
  # Every choice is made on this set, and on no other.
HELD_OUT
  # TOP1 (the default), TOP5, CROSS_ENTROPY, MEAN_PER_CLASS, F1_BINARY, F1_MACRO, MATTHEWS, …
  metric: TOP1
  # What the outputs and labels are: CLASSIFICATION (the default), REGRESSION, LANGUAGE_MODEL.
  #problem: CLASSIFICATION
  # Sets that are measured and never choose. FINAL makes the headline; DISTRIBUTION_SHIFT is averaged.
  #report_sets:
  #- {name: test, uri: testEND, role: FINALREADING}
  #- {name: shifted, uri: shiftedEND, role: DISTRIBUTION_SHIFTREADING}
  # Measures every ingredient on the report sets too, and rejected candidates to their end.
  #report_every_ingredient: true
  #full_scores: true

# One of greedy, uniform, best_single, learned.
recipe:
  greedy: {acceptance: STRICT_IMPROVEMENT}
  # The soups between base_uri and the soup; select ships the best of them.
  #wise_ft: {select: false}

# Measured beside it, for the report.
#comparisons: [{uniform: {}}, {learned: {epochs: 5}}, {logit_ensemble: {}}, {greedy_logit_ensemble: {}}]

# What else the report tells.
#analysis: {calibration: true, angles: true}

# Of models with BatchNorm: gathers its statistics anew for averaged weights.
#batch_norm: {data_set: {uri: trainENDREADING}}

#output: {dtype: STORED, format: SAFETENSORS}
#compute: {batch_size: 250, precision: FLOAT32, channels_last: false}
#limits: {timeout: 86400s}

# FAIL (the default), or SKIP: go on without an ingredient that cannot be used.
#on_bad_ingredient: FAIL
)";

struct Kind {
  const char* name;
  const char* inputs;
  const char* held_out;
  const char* end;      // of a data set's name
  const char* reading;  // more fields of each data set
};

constexpr Kind kKinds[] = {
    {"images",
     R"(  # How the model wants its images: (x / 255 - mean) / standard_deviation, per channel; here ImageNet's.
  inputs:
    - {data_set_input: images, scale_to_unit: true, mean: [0.485, 0.456, 0.406], standard_deviation: [0.229, 0.224, 0.225]})",
     R"(  held_out:
    # A folder CLASS/image.jpg, or a .parquet, .tar, .csv or .jsonl file.
    uri: held_out
    image_transform: {resize_shorter_side: 256, crop_height: 224, crop_width: 224}
    # Or as a kind of model is evaluated, with normalize_as_held_out: true in `inputs` in place of the numbers:
    # image_transform: {preset: CLIP}
    # A part of it: with the same seed, complement: true takes the rest.
    #subset: {fraction: 0.02, seed: 0})",
     "", ", image_transform: {resize_shorter_side: 256, crop_height: 224, crop_width: 224}"},
    {"text",
     R"(  # Which column of the data sets is which argument of the model's forward().
  inputs:
    - {data_set_input: input_ids, argument: input_ids}
    - {data_set_input: attention_mask, argument: attention_mask})",
     R"(  held_out:
    # A line for each example: {"input_ids": [101, 7592, 102], "attention_mask": [1, 1, 1], "label": 1}
    uri: held_out.jsonl
    # What shorter examples are filled with.
    pad_values: {input_ids: 0})",
     ".jsonl", ", pad_values: {input_ids: 0}"},
    {"tensors",
     R"(  # Default: the only input of the data set is the first argument of the model's forward().
  #inputs: [{data_set_input: x}])",
     R"(  held_out:
    # A .safetensors, .npz or .parquet file.
    uri: held_out.safetensors
    label_tensor: labels)",
     ".safetensors", ", label_tensor: labels"},
};

}  // namespace

std::vector<std::string> ExampleKinds() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

std::string ExampleJob(const std::string& kind) {
  for (const Kind& known : kKinds) {
    if (known.name != kind) continue;
    return absl::StrReplaceAll(kTemplate, {{"INPUTS", known.inputs},
                                           {"HELD_OUT", known.held_out},
                                           {"END", known.end},
                                           {"READING", known.reading}});
  }
  return "";
}

}  // namespace stockpot::cli
