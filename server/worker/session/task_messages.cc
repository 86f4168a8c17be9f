#include "server/worker/session/task_messages.h"

#include <google/protobuf/stubs/common.h>

#include <bit>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

bool IsTensors(const v1::DataSet& data_set) {
  if (data_set.format() != v1::DataSet::FORMAT_UNSPECIFIED) {
    return data_set.format() == v1::DataSet::TENSORS;
  }
  return absl::EndsWith(data_set.uri(), ".safetensors");
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
  source.kind =
      IsTensors(data_set) ? DataSetSource::Kind::kTensors : DataSetSource::Kind::kImageFolder;
  source.path = std::move(path);
  source.geometry = ToGeometry(data_set.image_transform());
  source.class_names = {data_set.class_names().begin(), data_set.class_names().end()};
  if (!data_set.label_tensor().empty()) source.label_tensor = data_set.label_tensor();
  source.inputs = {data_set.input_tensors().begin(), data_set.input_tensors().end()};
  return source;
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
