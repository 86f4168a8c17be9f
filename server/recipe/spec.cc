#include "server/recipe/spec.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace stockpot {
namespace {

constexpr int64_t kMinShardBytes = 1000;
constexpr size_t kMaxUriBytes = 4096;
constexpr size_t kMaxNameBytes = 200;
constexpr int kMaxImageSide = 16384;

// Reads an enumeration: absent or …_UNSPECIFIED means the first of `names`.
std::string ReadEnum(JsonReader& reader, const std::string& key,
                     const std::vector<std::string>& names) {
  std::string value;
  reader.Read(key, &value);
  if (value.empty() || absl::EndsWith(value, "_UNSPECIFIED")) return names.front();
  if (std::find(names.begin(), names.end(), value) == names.end()) {
    reader.AddViolation(key, absl::StrCat("must be one of ", absl::StrJoin(names, ", ")));
    return names.front();
  }
  return value;
}

bool IsDataSetName(const std::string& name) {
  return !name.empty() && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
         });
}

void CheckUri(JsonReader& reader, const std::string& key, const std::string& uri) {
  if (uri.size() > kMaxUriBytes || uri.find('\0') != std::string::npos) {
    reader.AddViolation(key, absl::StrCat("must be at most ", kMaxUriBytes, " bytes without NUL"));
  }
}

void ReadUri(JsonReader& reader, const std::string& key, std::string* uri) {
  reader.Read(key, uri);
  if (uri->empty()) reader.AddViolation(key, "is required");
  CheckUri(reader, key, *uri);
}

void ReadBothOrNeither(JsonReader& reader, const std::string& a, int* a_value, const std::string& b,
                       int* b_value) {
  reader.Read(a, a_value);
  reader.Read(b, b_value);
  if ((*a_value == 0) != (*b_value == 0)) {
    reader.AddViolation(*a_value == 0 ? a : b,
                        absl::StrCat("must be given together with ", *a_value == 0 ? b : a));
  }
}

void ReadTransform(JsonReader transform, DataSetSpec* spec) {
  transform.Read("resize_shorter_side", &spec->resize_shorter_side);
  ReadBothOrNeither(transform, "resize_height", &spec->resize_height, "resize_width",
                    &spec->resize_width);
  ReadBothOrNeither(transform, "crop_height", &spec->crop_height, "crop_width", &spec->crop_width);
  spec->interpolation = ReadEnum(transform, "interpolation", {"BICUBIC", "BILINEAR"});
  transform.Read("no_antialias", &spec->no_antialias);
  if (spec->resize_shorter_side != 0 && spec->resize_height != 0) {
    transform.AddViolation("resize_shorter_side",
                           "contradicts resize_height and resize_width: give one or the other");
  }
  for (auto [key, value] :
       {std::pair("resize_shorter_side", spec->resize_shorter_side),
        std::pair("resize_height", spec->resize_height),
        std::pair("resize_width", spec->resize_width), std::pair("crop_height", spec->crop_height),
        std::pair("crop_width", spec->crop_width)}) {
    if (value < 0 || value > kMaxImageSide) {
      transform.AddViolation(key, absl::StrCat("must be between 0 and ", kMaxImageSide));
    }
  }
}

DataSetSpec ReadDataSet(JsonReader reader, absl::string_view default_name) {
  DataSetSpec spec;
  spec.name = std::string(default_name);
  reader.Read("name", &spec.name);
  if (!IsDataSetName(spec.name)) {
    reader.AddViolation("name", "must be 1 to 63 of a-z, 0-9, '_' and '-'");
  }
  ReadUri(reader, "uri", &spec.uri);
  const bool tensors_by_name = absl::EndsWith(spec.uri, ".safetensors");
  spec.format = ReadEnum(reader, "format",
                         tensors_by_name ? std::vector<std::string>{"TENSORS", "IMAGE_FOLDER"}
                                         : std::vector<std::string>{"IMAGE_FOLDER", "TENSORS"});
  ReadTransform(reader.Object("image_transform"), &spec);
  reader.Read("label_tensor", &spec.label_tensor);
  reader.Read("input_tensors", &spec.input_tensors);
  reader.Read("class_names", &spec.class_names);
  if (spec.format == "TENSORS") {
    if (reader.Has("image_transform")) {
      reader.AddViolation("image_transform", "applies to IMAGE_FOLDER only, and this is TENSORS");
    }
    if (!spec.class_names.empty()) {
      reader.AddViolation("class_names", "applies to IMAGE_FOLDER only, and this is TENSORS");
    }
  } else if (!spec.input_tensors.empty()) {
    reader.AddViolation("input_tensors", "applies to TENSORS only, and this is IMAGE_FOLDER");
  }
  return spec;
}

std::vector<InputBindingSpec> ReadBindings(JsonReader& model) {
  std::vector<InputBindingSpec> bindings;
  for (JsonReader& reader : model.List("inputs")) {
    InputBindingSpec binding;
    reader.Read("data_set_input", &binding.data_set_input);
    reader.Read("argument", &binding.argument);
    reader.Read("scale_to_unit", &binding.scale_to_unit);
    reader.Read("mean", &binding.mean);
    reader.Read("standard_deviation", &binding.standard_deviation);
    if (binding.mean.size() != binding.standard_deviation.size()) {
      reader.AddViolation("standard_deviation", "must have as many values as mean");
    }
    if (!std::all_of(binding.mean.begin(), binding.mean.end(),
                     [](float value) { return std::isfinite(value); })) {
      reader.AddViolation("mean", "must be finite");
    }
    if (!std::all_of(binding.standard_deviation.begin(), binding.standard_deviation.end(),
                     [](float value) { return std::isfinite(value) && value > 0; })) {
      reader.AddViolation("standard_deviation", "must be positive and finite");
    }
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

std::string LastPart(const std::string& uri) {
  const size_t slash = uri.find_last_of('/');
  return slash == std::string::npos ? uri : uri.substr(slash + 1);
}

void ReadIngredients(JsonReader& reader, const SpecLimits& limits, JobSpec* spec) {
  std::vector<JsonReader> items = reader.List("ingredients");
  std::map<std::string, int> last_parts;
  for (JsonReader& item : items) {
    IngredientSpec& ingredient = spec->ingredients.emplace_back();
    ReadUri(item, "uri", &ingredient.uri);
    item.Read("display_name", &ingredient.display_name);
    if (ingredient.display_name.size() > kMaxNameBytes) {
      item.AddViolation("display_name", absl::StrCat("must be at most ", kMaxNameBytes, " bytes"));
    }
    ++last_parts[LastPart(ingredient.uri)];
  }
  std::set<std::string> names;
  for (size_t i = 0; i < items.size(); ++i) {
    IngredientSpec& ingredient = spec->ingredients[i];
    if (ingredient.display_name.empty()) {
      // Sweeps keep runs in folders of the same shape (run_07/model.pt): the whole URI tells them
      // apart.
      std::string last_part = LastPart(ingredient.uri);
      const bool tells_apart = !last_part.empty() && last_parts[last_part] == 1;
      ingredient.display_name = tells_apart ? std::move(last_part) : ingredient.uri;
    }
    if (!names.insert(ingredient.display_name).second) {
      items[i].AddViolation("display_name", absl::StrCat("'", ingredient.display_name,
                                                         "' is the name of an earlier ingredient"));
    }
  }
  if (spec->ingredients.empty()) reader.AddViolation("ingredients", "at least one is required");
  if (static_cast<int>(spec->ingredients.size()) > limits.max_ingredients) {
    reader.AddViolation("ingredients", absl::StrCat("at most ", limits.max_ingredients, ", got ",
                                                    spec->ingredients.size()));
  }
}

void ReadEvaluation(JsonReader reader, const SpecLimits& limits, JobSpec* spec) {
  if (!reader.Has("held_out")) {
    reader.AddViolation("held_out", "is required: the recipe chooses on it");
  } else {
    spec->data_sets.push_back(ReadDataSet(reader.Object("held_out"), "held_out"));
  }
  for (JsonReader& item : reader.List("report_sets")) {
    DataSetSpec data_set = ReadDataSet(item, "");
    for (const DataSetSpec& earlier : spec->data_sets) {
      if (earlier.name == data_set.name) {
        item.AddViolation("name",
                          absl::StrCat("'", data_set.name, "' is the name of another data set"));
      }
    }
    spec->data_sets.push_back(std::move(data_set));
  }
  if (static_cast<int>(spec->data_sets.size()) > limits.max_report_sets + 1) {
    reader.AddViolation("report_sets", absl::StrCat("at most ", limits.max_report_sets));
  }
  const std::string metric = ReadEnum(reader, "metric", {"TOP1", "TOP5", "CROSS_ENTROPY"});
  spec->metric = metric == "TOP1"   ? Metric::kTop1
                 : metric == "TOP5" ? Metric::kTop5
                                    : Metric::kCrossEntropy;
  reader.Read("report_every_ingredient", &spec->report_every_ingredient);
}

void ReadRecipe(JsonReader reader, JobSpec* spec) {
  if (reader.Has("greedy") && reader.Has("uniform")) {
    reader.AddViolation("uniform", "contradicts greedy: give one recipe");
  }
  if (reader.Has("uniform")) {
    spec->recipe = RecipeKind::kUniform;
    return;
  }
  JsonReader greedy = reader.Object("greedy");
  if (ReadEnum(greedy, "acceptance", {"STRICT_IMPROVEMENT", "NOT_WORSE"}) == "NOT_WORSE") {
    spec->acceptance = Acceptance::kNotWorse;
  }
}

void ReadOutput(JsonReader reader, JobSpec* spec) {
  spec->dtype = ReadEnum(reader, "dtype", {"STORED", "FLOAT32", "BFLOAT16", "FLOAT16"});
  spec->output_format = ReadEnum(reader, "format", {"SAFETENSORS", "TORCH_SAVE"});
  reader.Read("max_shard_bytes", &spec->max_shard_bytes);
  if (spec->max_shard_bytes == 0) spec->max_shard_bytes = JobSpec().max_shard_bytes;
  if (spec->max_shard_bytes < kMinShardBytes) {
    reader.AddViolation("max_shard_bytes", absl::StrCat("must be 0 or at least ", kMinShardBytes));
  }
  reader.Read("output_uri", &spec->output_uri);
  CheckUri(reader, "output_uri", spec->output_uri);
}

void ReadLimits(JsonReader reader, JobSpec* spec) {
  const std::pair<const char*, absl::Duration*> kTimes[] = {
      {"timeout", &spec->timeout},
      {"task_timeout", &spec->task_timeout},
      {"max_worker_time", &spec->max_worker_time},
  };
  for (const auto& [key, value] : kTimes) {
    reader.Read(key, value);
    if (*value <= absl::ZeroDuration()) reader.AddViolation(key, "must be more than no time");
  }
  reader.Read("max_evaluations", &spec->max_evaluations);
  if (spec->max_evaluations < 0) reader.AddViolation("max_evaluations", "must not be negative");
}

}  // namespace

absl::StatusOr<JobSpec> ParseJobSpec(const Json& json, const std::string& path,
                                     const SpecLimits& limits) {
  JobSpec spec;
  JsonReader reader(json, path);
  JsonReader model = reader.Object("model");
  ReadUri(model, "architecture_uri", &spec.architecture_uri);
  spec.inputs = ReadBindings(model);
  ReadIngredients(reader, limits, &spec);
  ReadEvaluation(reader.Object("evaluation"), limits, &spec);
  ReadRecipe(reader.Object("recipe"), &spec);
  ReadOutput(reader.Object("output"), &spec);
  JsonReader compute = reader.Object("compute");
  compute.Read("batch_size", &spec.batch_size);
  if (spec.batch_size == 0) spec.batch_size = JobSpec().batch_size;
  if (spec.batch_size < 1 || spec.batch_size > limits.max_batch_size) {
    compute.AddViolation("batch_size",
                         absl::StrCat("must be between 1 and ", limits.max_batch_size));
  }
  compute.Read("speculation", &spec.speculation);
  if (spec.speculation < 0) compute.AddViolation("speculation", "must not be negative");
  compute.Read("measure_again", &spec.measure_again);
  ReadLimits(reader.Object("limits"), &spec);
  spec.skip_bad_ingredients = ReadEnum(reader, "on_bad_ingredient", {"FAIL", "SKIP"}) == "SKIP";
  RETURN_IF_ERROR(reader.status());
  return spec;
}

absl::StatusOr<DataSetSpec> ParseDataSetSpec(const Json& json, const std::string& path) {
  JsonReader reader(json, path);
  DataSetSpec spec = ReadDataSet(reader, "data_set");
  RETURN_IF_ERROR(reader.status());
  return spec;
}

Json ToJson(const DataSetSpec& data_set) {
  Json json = {{"name", data_set.name}, {"uri", data_set.uri}, {"format", data_set.format}};
  if (data_set.format == "TENSORS") {
    json["label_tensor"] = data_set.label_tensor;
    json["input_tensors"] = data_set.input_tensors;
    return json;
  }
  json["class_names"] = data_set.class_names;
  json["image_transform"] = {{"resize_shorter_side", data_set.resize_shorter_side},
                             {"resize_height", data_set.resize_height},
                             {"resize_width", data_set.resize_width},
                             {"interpolation", data_set.interpolation},
                             {"no_antialias", data_set.no_antialias},
                             {"crop_height", data_set.crop_height},
                             {"crop_width", data_set.crop_width}};
  return json;
}

Json ToJson(const InputBindingSpec& binding) {
  return {{"data_set_input", binding.data_set_input},
          {"argument", binding.argument},
          {"scale_to_unit", binding.scale_to_unit},
          {"mean", binding.mean},
          {"standard_deviation", binding.standard_deviation}};
}

absl::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kTop1:
      return "TOP1";
    case Metric::kTop5:
      return "TOP5";
    case Metric::kCrossEntropy:
      return "CROSS_ENTROPY";
  }
  return "";
}

absl::string_view AcceptanceName(Acceptance choice) {
  return choice == Acceptance::kStrictImprovement ? "STRICT_IMPROVEMENT" : "NOT_WORSE";
}

}  // namespace stockpot
