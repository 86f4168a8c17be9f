// Reading data sets.
#include <algorithm>
#include <set>

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

}  // namespace

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
  if (data_set.interpolation != DataSetSpec().interpolation) {
    json["image_transform"]["interpolation"] = data_set.interpolation;
  }
  if (data_set.no_antialias) json["image_transform"]["no_antialias"] = true;
  return json;
}

}  // namespace stockpot
