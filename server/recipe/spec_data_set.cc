// Reading data sets.
#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/recipe/spec_parts.h"

namespace stockpot {
namespace {

constexpr int kMaxImageSide = 16384;
constexpr size_t kMaxSubset = 1'000'000;

bool IsDataSetName(const std::string& name) {
  return !name.empty() && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
         });
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

// A preset or a file stands for all the numbers.
void CheckAlone(JsonReader& transform, const std::string& key, const std::string& other) {
  for (const char* number :
       {"resize_shorter_side", "resize_height", "resize_width", "interpolation", "no_antialias",
        "crop_height", "crop_width", "crop_begin"}) {
    if (transform.Has(number)) {
      transform.AddViolation(number, absl::StrCat("contradicts ", key, ", which says it"));
    }
  }
  if (!other.empty()) transform.AddViolation(key, "give a preset or config_uri, not both");
}

void ReadPreset(JsonReader& transform, DataSetSpec* spec) {
  const std::string preset =
      ReadEnum(transform, "preset",
               {"", "TORCHVISION_V1", "TORCHVISION_V2", "TIMM", "TIMM_HALF", "CLIP", "CLIP_336"});
  spec->preset = preset == "PRESET_UNSPECIFIED" ? "" : preset;
  transform.Read("config_uri", &spec->config_uri);
  CheckUri(transform, "config_uri", spec->config_uri);
  if (!spec->preset.empty()) CheckAlone(transform, "preset", spec->config_uri);
  if (!spec->config_uri.empty()) CheckAlone(transform, "config_uri", "");
}

void ReadTransform(JsonReader transform, DataSetSpec* spec) {
  ReadPreset(transform, spec);
  transform.Read("resize_shorter_side", &spec->resize_shorter_side);
  ReadBothOrNeither(transform, "resize_height", &spec->resize_height, "resize_width",
                    &spec->resize_width);
  ReadBothOrNeither(transform, "crop_height", &spec->crop_height, "crop_width", &spec->crop_width);
  spec->interpolation = ReadEnum(transform, "interpolation", {"BICUBIC", "BILINEAR"});
  transform.Read("no_antialias", &spec->no_antialias);
  spec->crop_begin = ReadEnum(transform, "crop_begin", {"NEAREST", "DOWN"});
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

void ReadClassifier(JsonReader reader, DataSetSpec* spec) {
  ClassifierSpec classifier;
  ReadUri(reader, "uri", &classifier.uri);
  reader.Read("weight_tensor", &classifier.weight_tensor);
  if (classifier.weight_tensor.empty()) classifier.weight_tensor = "weight";
  reader.Read("bias_tensor", &classifier.bias_tensor);
  reader.Read("normalize_features", &classifier.normalize_features);
  reader.Read("scale", &classifier.scale);
  if (classifier.scale == 0) classifier.scale = 1;
  spec->classifier = std::move(classifier);
}

void ReadSubset(JsonReader& reader, DataSetSpec* spec) {
  reader.Read("class_subset", &spec->class_subset);
  if (spec->class_subset.size() > kMaxSubset) {
    reader.AddViolation("class_subset", absl::StrCat("at most ", kMaxSubset, " classes"));
  }
  std::set<int64_t> seen;
  for (const int64_t index : spec->class_subset) {
    if (index < 0) reader.AddViolation("class_subset", absl::StrCat(index, " is negative"));
    if (!seen.insert(index).second) {
      reader.AddViolation("class_subset", absl::StrCat(index, " is there twice"));
      return;
    }
  }
}

std::string ReadFormat(JsonReader& reader, absl::string_view uri) {
  std::vector<std::string> formats = {"IMAGE_FOLDER", "TENSORS", "PARQUET", "WEBDATASET",
                                      "NUMPY",        "CSV",     "JSONL"};
  constexpr std::pair<absl::string_view, absl::string_view> kEnds[] = {
      {".safetensors", "TENSORS"}, {".parquet", "PARQUET"}, {".tar", "WEBDATASET"},
      {".npz", "NUMPY"},           {".csv", "CSV"},         {".jsonl", "JSONL"}};
  for (const auto& [end, format] : kEnds) {
    if (absl::EndsWith(uri, end)) std::swap(formats[0], *absl::c_find(formats, format));
  }
  return ReadEnum(reader, "format", formats);
}

void ReadExampleSubset(JsonReader reader, DataSetSpec* spec) {
  SubsetSpec subset;
  reader.Read("fraction", &subset.fraction);
  reader.Read("count", &subset.count);
  reader.Read("seed", &subset.seed);
  reader.Read("complement", &subset.complement);
  if (!(subset.fraction >= 0 && subset.fraction < 1)) {
    reader.AddViolation("fraction", "must be between 0 and 1");
  }
  if (subset.count < 0) reader.AddViolation("count", "must be positive");
  if ((subset.fraction != 0) == (subset.count != 0)) {
    reader.AddViolation("fraction", "give a fraction or a count");
  }
  spec->subset = subset;
}

void ReadSelection(JsonReader& reader, DataSetSpec* spec) {
  reader.Read("label_map", &spec->label_map);
  if (spec->label_map.size() > kMaxSubset) {
    reader.AddViolation("label_map", absl::StrCat("at most ", kMaxSubset, " labels"));
  }
  if (reader.Has("subset")) ReadExampleSubset(reader.Object("subset"), spec);
  reader.Read("limit", &spec->limit);
  if (spec->limit < 0) reader.AddViolation("limit", "must not be negative");
}

// Fields that only some formats have. What is in a Parquet file shows when it is read.
void CheckFits(JsonReader& reader, const DataSetSpec& spec) {
  const auto only = [&](bool given, const char* key, const char* formats,
                        std::initializer_list<absl::string_view> fitting) {
    if (!given || absl::c_linear_search(fitting, spec.format)) return;
    reader.AddViolation(key,
                        absl::StrCat("applies to ", formats, " only, and this is ", spec.format));
  };
  only(reader.Has("image_transform"), "image_transform", "IMAGE_FOLDER and other images",
       {"IMAGE_FOLDER", "PARQUET", "WEBDATASET", "CSV", "JSONL"});
  only(!spec.class_names.empty(), "class_names", "IMAGE_FOLDER and other images",
       {"IMAGE_FOLDER", "PARQUET", "WEBDATASET", "CSV", "JSONL"});
  only(!spec.input_tensors.empty(), "input_tensors", "TENSORS, NUMPY, PARQUET and JSONL",
       {"TENSORS", "NUMPY", "PARQUET", "JSONL"});
  only(!spec.pad_values.empty(), "pad_values", "PARQUET and JSONL", {"PARQUET", "JSONL"});
  only(!spec.weight_tensor.empty(), "weight_tensor",
       "TENSORS, NUMPY, PARQUET, WEBDATASET, CSV and JSONL",
       {"TENSORS", "NUMPY", "PARQUET", "WEBDATASET", "CSV", "JSONL"});
  only(!spec.image_column.empty(), "image_column", "PARQUET, CSV and JSONL",
       {"PARQUET", "CSV", "JSONL"});
  only(!spec.split.empty(), "split", "PARQUET, CSV and JSONL", {"PARQUET", "CSV", "JSONL"});
}

void AddSelection(const DataSetSpec& data_set, Json* json) {
  if (!data_set.label_map.empty()) (*json)["label_map"] = data_set.label_map;
  if (!data_set.pad_values.empty()) (*json)["pad_values"] = data_set.pad_values;
  if (!data_set.weight_tensor.empty()) (*json)["weight_tensor"] = data_set.weight_tensor;
  if (data_set.limit != 0) (*json)["limit"] = data_set.limit;
  if (!data_set.subset.has_value()) return;
  const SubsetSpec& subset = *data_set.subset;
  (*json)["subset"] = {{"seed", subset.seed}, {"complement", subset.complement}};
  if (subset.fraction != 0) (*json)["subset"]["fraction"] = subset.fraction;
  if (subset.count != 0) (*json)["subset"]["count"] = subset.count;
}

Json TransformJson(const DataSetSpec& data_set) {
  if (!data_set.preset.empty()) return {{"preset", data_set.preset}};
  if (!data_set.config_uri.empty()) return {{"config_uri", data_set.config_uri}};
  Json json = {{"resize_shorter_side", data_set.resize_shorter_side},
               {"resize_height", data_set.resize_height},
               {"resize_width", data_set.resize_width},
               {"interpolation", data_set.interpolation},
               {"no_antialias", data_set.no_antialias},
               {"crop_height", data_set.crop_height},
               {"crop_width", data_set.crop_width}};
  if (data_set.crop_begin != DataSetSpec().crop_begin) json["crop_begin"] = data_set.crop_begin;
  return json;
}

}  // namespace

DataSetSpec ReadDataSet(JsonReader reader, absl::string_view default_name) {
  DataSetSpec spec;
  spec.name = std::string(default_name);
  reader.Read("name", &spec.name);
  if (!IsDataSetName(spec.name)) {
    reader.AddViolation("name", "must be 1 to 63 of a-z, 0-9, '_' and '-'");
  }
  ReadUri(reader, "uri", &spec.uri);
  spec.format = ReadFormat(reader, spec.uri);
  ReadTransform(reader.Object("image_transform"), &spec);
  if (spec.format != "TENSORS" && spec.format != "NUMPY") spec.label_tensor.clear();
  reader.Read("label_tensor", &spec.label_tensor);
  reader.Read("input_tensors", &spec.input_tensors);
  reader.Read("pad_values", &spec.pad_values);
  reader.Read("weight_tensor", &spec.weight_tensor);
  reader.Read("class_names", &spec.class_names);
  reader.Read("image_column", &spec.image_column);
  reader.Read("split", &spec.split);
  ReadSelection(reader, &spec);
  CheckFits(reader, spec);
  const int role = ReadChoice(reader, "role", {"TEST", "DISTRIBUTION_SHIFT", "FINAL"});
  constexpr DataSetRole kRoles[] = {DataSetRole::kTest, DataSetRole::kDistributionShift,
                                    DataSetRole::kFinal};
  spec.role = kRoles[role];
  ReadSubset(reader, &spec);
  if (reader.Has("classifier")) ReadClassifier(reader.Object("classifier"), &spec);
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
  if (!data_set.class_subset.empty()) json["class_subset"] = data_set.class_subset;
  if (data_set.classifier.has_value()) {
    json["classifier"] = {{"uri", data_set.classifier->uri},
                          {"weight_tensor", data_set.classifier->weight_tensor},
                          {"bias_tensor", data_set.classifier->bias_tensor},
                          {"normalize_features", data_set.classifier->normalize_features},
                          {"scale", data_set.classifier->scale}};
  }
  AddSelection(data_set, &json);
  if (data_set.format == "TENSORS" || data_set.format == "NUMPY") {
    json["label_tensor"] = data_set.label_tensor;
    json["input_tensors"] = data_set.input_tensors;
    return json;
  }
  // Image folders have no use for it, and their tasks never had it.
  const bool has_labels = !data_set.label_tensor.empty() && data_set.format != "IMAGE_FOLDER";
  if (has_labels) json["label_tensor"] = data_set.label_tensor;
  if (!data_set.input_tensors.empty()) json["input_tensors"] = data_set.input_tensors;
  if (!data_set.image_column.empty()) json["image_column"] = data_set.image_column;
  if (!data_set.split.empty()) json["split"] = data_set.split;
  json["class_names"] = data_set.class_names;
  json["image_transform"] = TransformJson(data_set);
  return json;
}

}  // namespace stockpot
