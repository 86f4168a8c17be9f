#include "server/worker/session/task_messages.h"

#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

v1::DataSet::Format FormatOf(const v1::DataSet& data_set) {
  if (data_set.format() != v1::DataSet::FORMAT_UNSPECIFIED) return data_set.format();
  constexpr std::pair<absl::string_view, v1::DataSet::Format> kEnds[] = {
      {".safetensors", v1::DataSet::TENSORS},
      {".npz", v1::DataSet::NUMPY},
      {".parquet", v1::DataSet::PARQUET},
      {".tar", v1::DataSet::WEBDATASET},
      {".csv", v1::DataSet::CSV},
      {".jsonl", v1::DataSet::JSONL}};
  for (const auto& [end, format] : kEnds) {
    if (absl::EndsWith(data_set.uri(), end)) return format;
  }
  return v1::DataSet::IMAGE_FOLDER;
}

DataSetSource::Kind KindOf(const v1::DataSet& data_set) {
  switch (FormatOf(data_set)) {
    case v1::DataSet::TENSORS:
      return DataSetSource::Kind::kTensors;
    case v1::DataSet::PARQUET:
      return DataSetSource::Kind::kParquet;
    case v1::DataSet::WEBDATASET:
      return DataSetSource::Kind::kWebDataset;
    case v1::DataSet::NUMPY:
      return DataSetSource::Kind::kNumpy;
    case v1::DataSet::CSV:
      return DataSetSource::Kind::kCsv;
    case v1::DataSet::JSONL:
      return DataSetSource::Kind::kJsonLines;
    default:
      return DataSetSource::Kind::kImageFolder;
  }
}

ExampleSelection ToSelection(const v1::DataSet& data_set) {
  ExampleSelection selection;
  selection.draws = data_set.has_subset();
  selection.fraction = data_set.subset().fraction();
  selection.count = data_set.subset().count();
  selection.seed = data_set.subset().seed();
  selection.complement = data_set.subset().complement();
  selection.limit = data_set.limit();
  return selection;
}

ImageGeometry ToGeometry(const v1::ImageTransform& transform) {
  ImageGeometry geometry;
  geometry.resize_shorter_side = transform.resize_shorter_side();
  geometry.resize_height = transform.resize_height();
  geometry.resize_width = transform.resize_width();
  geometry.interpolation = transform.interpolation() == v1::ImageTransform::BILINEAR
                               ? Interpolation::kBilinear
                               : Interpolation::kBicubic;
  geometry.antialias = !transform.no_antialias();
  geometry.crop_height = transform.crop_height();
  geometry.crop_width = transform.crop_width();
  geometry.crop_rounds_down = transform.crop_begin() == v1::ImageTransform::DOWN;
  return geometry;
}

void AddCounts(const std::vector<int32_t>& counts, google::protobuf::RepeatedField<int32_t>* out) {
  out->Add(counts.begin(), counts.end());
}

void AppendFloats(const std::vector<float>& values, std::string* bytes) {
  static_assert(std::endian::native == std::endian::little, "they travel little-endian");
  bytes->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

}  // namespace

DataSetSource ToDataSetSource(const v1::DataSet& data_set, std::string path) {
  DataSetSource source;
  source.kind = KindOf(data_set);
  source.path = std::move(path);
  source.geometry = ToGeometry(data_set.image_transform());
  source.class_names = {data_set.class_names().begin(), data_set.class_names().end()};
  source.label_map = {data_set.label_map().begin(), data_set.label_map().end()};
  source.selection = ToSelection(data_set);
  source.image_column = data_set.image_column();
  source.split = data_set.split();
  source.label_tensor = data_set.label_tensor();
  source.inputs = {data_set.input_tensors().begin(), data_set.input_tensors().end()};
  source.weight_tensor = data_set.weight_tensor();
  source.pad_values = {data_set.pad_values().begin(), data_set.pad_values().end()};
  return source;
}

CheckpointReading ToCheckpointReading(const worker::v1::CheckpointReading& reading) {
  CheckpointReading out;
  out.state_dict_key = reading.state_dict_key();
  for (const v1::TensorRename& rule : reading.renames()) {
    out.renames.push_back({rule.pattern(), rule.replacement()});
  }
  return out;
}

std::optional<TransformPreset> NamedPresetOf(const v1::ImageTransform& transform) {
  switch (transform.preset()) {
    case v1::ImageTransform::TORCHVISION_V1:
      return GetPreset(NamedPreset::kTorchvisionV1);
    case v1::ImageTransform::TORCHVISION_V2:
      return GetPreset(NamedPreset::kTorchvisionV2);
    case v1::ImageTransform::TIMM:
      return GetPreset(NamedPreset::kTimm);
    case v1::ImageTransform::TIMM_HALF:
      return GetPreset(NamedPreset::kTimmHalf);
    case v1::ImageTransform::CLIP:
      return GetPreset(NamedPreset::kClip);
    case v1::ImageTransform::CLIP_336:
      return GetPreset(NamedPreset::kClip336);
    default:
      return std::nullopt;
  }
}

v1::ImageTransform ToImageTransform(const ImageGeometry& geometry) {
  v1::ImageTransform transform;
  transform.set_resize_shorter_side(geometry.resize_shorter_side);
  transform.set_resize_height(geometry.resize_height);
  transform.set_resize_width(geometry.resize_width);
  transform.set_interpolation(geometry.interpolation == Interpolation::kBilinear
                                  ? v1::ImageTransform::BILINEAR
                                  : v1::ImageTransform::BICUBIC);
  transform.set_no_antialias(!geometry.antialias);
  transform.set_crop_height(geometry.crop_height);
  transform.set_crop_width(geometry.crop_width);
  transform.set_crop_begin(geometry.crop_rounds_down ? v1::ImageTransform::DOWN
                                                     : v1::ImageTransform::NEAREST);
  return transform;
}

void AddLabels(const DataSet& data_set, worker::v1::DataSetFound* found) {
  constexpr size_t kMostLabels = 20;
  constexpr int64_t kMostClasses = 10'000;
  for (const int64_t label : data_set.labels().subspan(0, kMostLabels)) {
    found->add_first_labels(static_cast<double>(label));
  }
  for (const double target : data_set.targets().subspan(0, kMostLabels)) {
    found->add_first_labels(target);
  }
  if (data_set.label_kind() != LabelKind::kClasses) return;
  const int64_t classes = std::min(data_set.class_count(), kMostClasses);
  found->mutable_class_example_counts()->Resize(static_cast<int>(classes), 0);
  for (const int64_t label : data_set.labels()) {
    if (label >= classes) continue;
    int64_t* const count = found->mutable_class_example_counts()->Mutable(static_cast<int>(label));
    ++*count;
  }
}

std::vector<InputBinding> ToInputBindings(
    const google::protobuf::RepeatedPtrField<v1::InputBinding>& inputs) {
  std::vector<InputBinding> bindings;
  for (const v1::InputBinding& input : inputs) {
    bindings.push_back(
        {.data_set_input = input.data_set_input(),
         .argument = input.argument(),
         .scale_to_unit = input.scale_to_unit(),
         .mean = {input.mean().begin(), input.mean().end()},
         .std = {input.standard_deviation().begin(), input.standard_deviation().end()}});
  }
  return bindings;
}

absl::StatusOr<std::optional<DType>> ToDType(v1::Output::DType dtype) {
  switch (dtype) {
    case v1::Output::D_TYPE_UNSPECIFIED:
    case v1::Output::STORED:
      return std::nullopt;
    case v1::Output::FLOAT32:
      return DType::kFloat32;
    case v1::Output::BFLOAT16:
      return DType::kBFloat16;
    case v1::Output::FLOAT16:
      return DType::kFloat16;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown output dtype ", static_cast<int>(dtype)));
  }
}

std::string ToUtf8(absl::string_view text) {
  // protobuf's own test, which decides what it refuses to parse on the other side.
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(),
                                                             static_cast<int>(text.size()))
             ? std::string(text)
             : absl::CHexEscape(text);
}

worker::v1::TensorSignature ToSignature(const std::string& name, DType dtype,
                                        const std::vector<int64_t>& shape) {
  worker::v1::TensorSignature signature;
  signature.set_name(ToUtf8(name));
  signature.set_dtype(std::string(DTypeName(dtype)));
  signature.mutable_shape()->Add(shape.begin(), shape.end());
  return signature;
}

void AddSignatures(const std::vector<TensorInfo>& tensors,
                   google::protobuf::RepeatedPtrField<worker::v1::TensorSignature>* out) {
  for (const TensorInfo& tensor : tensors) {
    *out->Add() = ToSignature(tensor.name, tensor.dtype, tensor.shape);
  }
}

absl::StatusOr<ScoreBar> ToScoreBar(const worker::v1::Bar& bar) {
  const auto metric = MetricOfName(v1::EvaluationPlan::Metric_Name(bar.metric()));
  if (!metric.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown metric ", static_cast<int>(bar.metric())));
  }
  return ScoreBar{*metric, bar.number(), bar.ties_win()};
}

absl::StatusOr<Problem> ToProblem(v1::EvaluationPlan::Problem problem) {
  switch (problem) {
    case v1::EvaluationPlan::PROBLEM_UNSPECIFIED:
    case v1::EvaluationPlan::CLASSIFICATION:
      return Problem::kClassification;
    case v1::EvaluationPlan::REGRESSION:
      return Problem::kRegression;
    case v1::EvaluationPlan::LANGUAGE_MODEL:
      return Problem::kLanguageModel;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown problem ", static_cast<int>(problem)));
  }
}

absl::StatusOr<Precision> ToPrecision(v1::Compute::Precision precision) {
  switch (precision) {
    case v1::Compute::PRECISION_UNSPECIFIED:
    case v1::Compute::FLOAT32:
      return Precision::kFloat32;
    case v1::Compute::TF32:
      return Precision::kTf32;
    case v1::Compute::BFLOAT16:
      return Precision::kBFloat16;
    case v1::Compute::FLOAT16:
      return Precision::kFloat16;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown precision ", static_cast<int>(precision)));
  }
}

std::string EncodeMeasurement(const Measurement& measurement, worker::v1::Measured* measured) {
  measured->set_example_count(measurement.example_count);
  measured->set_top1_correct(measurement.top1_correct);
  measured->set_top5_correct(measurement.top5_correct);
  measured->set_cross_entropy_sum(measurement.cross_entropy_sum);
  AddCounts(measurement.label_counts, measured->mutable_label_counts());
  AddCounts(measurement.predicted_counts, measured->mutable_predicted_counts());
  AddCounts(measurement.correct_counts, measured->mutable_correct_counts());
  measured->set_ece_equal_mass(measurement.ece_equal_mass);
  measured->set_ece_equal_width(measurement.ece_equal_width);
  measured->set_squared_error_sum(measurement.squared_error_sum);
  measured->set_weight_sum(measurement.weight_sum);
  measured->set_top1_weight(measurement.top1_weight);
  measured->set_top5_weight(measurement.top5_weight);
  measured->set_pearson(measurement.pearson);
  measured->set_spearman(measurement.spearman);
  std::string examples = measurement.correct_bits;
  AppendFloats(measurement.margins, &examples);
  AppendFloats(measurement.outputs, &examples);
  return examples;
}

worker::v1::GapFound ToGapFound(const GapTerms& terms) {
  worker::v1::GapFound found;
  found.set_inverse_temperature(terms.inverse_temperature);
  found.set_soup_loss(terms.soup_loss);
  found.set_ensemble_loss(terms.ensemble_loss);
  found.set_second_derivative(terms.second_derivative);
  found.set_variance(terms.variance);
  found.set_approximation(terms.approximation);
  return found;
}

}  // namespace stockpot
