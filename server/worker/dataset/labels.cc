#include "server/worker/dataset/labels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/dataset/integer_column.h"

namespace stockpot {
namespace {

absl::Status InvalidLabels(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

// "label of example 3", and where in it.
std::string Place(const Labels& labels, size_t i) {
  const auto length = static_cast<size_t>(labels.length);
  std::string place = absl::StrCat("label of example ", i / length);
  if (labels.kind == LabelKind::kTokens) absl::StrAppend(&place, " at position ", i % length);
  return place;
}

absl::Status OutOfRange(const Labels& labels, size_t i, int64_t value) {
  const std::string expected =
      labels.kind == LabelKind::kTokens
          ? absl::StrCat("labels [N, length] are tokens from 0, or ", kIgnoredToken,
                         " where none counts")
          : "labels are class numbers from 0 (numbers to predict are floating-point)";
  const auto example = i / static_cast<size_t>(labels.length);
  return WithMetadata(WithReason(absl::InvalidArgumentError(
                                     absl::StrCat(Place(labels, i), " is ", value, ": ", expected)),
                                 "LABEL_OUT_OF_RANGE"),
                      "example", absl::StrCat(example));
}

template <typename Element>
Element At(absl::Span<const char> bytes, size_t i) {
  Element value;  // the file need not align it
  std::memcpy(&value, bytes.data() + i * sizeof(Element), sizeof(Element));
  return value;
}

template <typename Integer>
absl::Status ReadIntegers(absl::Span<const char> bytes, Labels* labels) {
  // Leaves room for "largest label + 1" in 32 bits; no model has so many classes.
  constexpr int64_t kMaxLabel = std::numeric_limits<int32_t>::max() - 1;
  const bool may_ignore = labels->kind == LabelKind::kTokens;
  labels->integers.resize(bytes.size() / sizeof(Integer));
  int64_t largest = -1;
  for (size_t i = 0; i < labels->integers.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): a number
    const auto value = static_cast<int64_t>(At<Integer>(bytes, i));
    const bool ignored = may_ignore && value == kIgnoredToken;
    if (!ignored && (value < 0 || value > kMaxLabel)) return OutOfRange(*labels, i, value);
    labels->integers[i] = value;
    largest = std::max(largest, value);
  }
  if (largest < 0) {
    return InvalidLabels(
        absl::StrCat("every label is ", kIgnoredToken, ": there is nothing to score"));
  }
  labels->class_count = largest + 1;
  return absl::OkStatus();
}

template <typename Float>
absl::Status ReadNumbers(absl::Span<const char> bytes, Labels* labels) {
  labels->numbers.resize(bytes.size() / sizeof(Float));
  for (size_t i = 0; i < labels->numbers.size(); ++i) {
    labels->numbers[i] = static_cast<double>(At<Float>(bytes, i));
    if (std::isfinite(labels->numbers[i])) continue;
    return WithMetadata(InvalidLabels(absl::StrCat(Place(*labels, i), " is not finite")), "example",
                        absl::StrCat(i));
  }
  return absl::OkStatus();
}

absl::Status ReadElements(DType dtype, absl::Span<const char> bytes, Labels* labels) {
  switch (dtype) {
    case DType::kUint8:
      return ReadIntegers<uint8_t>(bytes, labels);
    case DType::kInt8:
      return ReadIntegers<int8_t>(bytes, labels);
    case DType::kUint16:
      return ReadIntegers<uint16_t>(bytes, labels);
    case DType::kInt16:
      return ReadIntegers<int16_t>(bytes, labels);
    case DType::kUint32:
      return ReadIntegers<uint32_t>(bytes, labels);
    case DType::kInt32:
      return ReadIntegers<int32_t>(bytes, labels);
    case DType::kInt64:
      return ReadIntegers<int64_t>(bytes, labels);
    case DType::kFloat32:
      return ReadNumbers<float>(bytes, labels);
    case DType::kFloat64:
      return ReadNumbers<double>(bytes, labels);
    default:
      return InvalidLabels(
          absl::StrCat("labels are ", DTypeName(dtype),
                       ": store classes and tokens as integers, numbers as F32 or F64"));
  }
}

}  // namespace

absl::StatusOr<Labels> ReadLabels(const TensorInfo& tensor, absl::Span<const char> bytes) {
  const bool numbers = IsFloatingPoint(tensor.dtype);
  const size_t rank = tensor.shape.size();
  if (rank != 1 && (numbers || rank != 2)) {
    return InvalidLabels(
        absl::StrCat("tensor '", tensor.name, "' of shape [", absl::StrJoin(tensor.shape, ", "),
                     "]: labels are one number an example, [N], or, for a language "
                     "model, one integer a token, [N, length]"));
  }
  if (tensor.element_count() == 0) {
    return WithReason(absl::InvalidArgumentError("the data set has no examples"), "DATA_SET_EMPTY");
  }
  Labels labels;
  labels.example_count = tensor.shape[0];
  if (numbers) labels.kind = LabelKind::kNumbers;
  if (rank == 2) {
    labels.kind = LabelKind::kTokens;
    labels.length = tensor.shape[1];
  }
  RETURN_IF_ERROR(Annotate(ReadElements(tensor.dtype, bytes, &labels),
                           absl::StrCat("tensor '", tensor.name, "'")));
  return labels;
}

absl::Status ReadWeights(const TensorInfo& tensor, absl::Span<const char> bytes,
                         std::vector<double>* weights) {
  const absl::string_view elements(bytes.data(), bytes.size());
  const size_t count = bytes.size() / DTypeSize(tensor.dtype);
  std::vector<int64_t> integers;
  weights->clear();
  if (tensor.dtype == DType::kFloat32) {
    for (size_t i = 0; i < count; ++i) weights->push_back(static_cast<double>(At<float>(bytes, i)));
  } else if (tensor.dtype == DType::kFloat64) {
    for (size_t i = 0; i < count; ++i) weights->push_back(At<double>(bytes, i));
  } else if (AppendIntegers(tensor.dtype, elements, &integers)) {
    weights->assign(integers.begin(), integers.end());
  } else {
    return InvalidLabels(absl::StrCat("weights '", tensor.name, "' are ", DTypeName(tensor.dtype),
                                      ": store them as whole numbers, F32 or F64"));
  }
  return CheckWeights(tensor.name, *weights, tensor.shape.size() > 1 ? "token" : "example");
}

absl::Status CheckWeights(const std::string& name, absl::Span<const double> weights,
                          absl::string_view of_each) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double weight = weights[i];
    sum += weight;
    if (weight >= 0 && std::isfinite(sum)) continue;
    return WithMetadata(InvalidLabels(absl::StrCat("weight of ", of_each, " ", i, " is ", weight,
                                                   ": weights are finite, not negative, and add up "
                                                   "to what float64 can hold")),
                        "example", absl::StrCat(i));
  }
  if (sum > 0) return absl::OkStatus();
  return InvalidLabels(absl::StrCat("weights '", name, "' are all 0"));
}

absl::StatusOr<double> ParseWeight(absl::string_view text) {
  double weight;
  if (absl::SimpleAtod(text, &weight) && weight >= 0 && std::isfinite(weight)) return weight;
  return InvalidLabels(absl::StrCat("the weight '", text.substr(0, 40),
                                    "' is no number that is finite and not negative"));
}

}  // namespace stockpot
