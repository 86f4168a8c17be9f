#include "server/worker/dataset/json_rows.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/dataset/json_label.h"
#include "server/worker/dataset/manifest_reader.h"
#include "server/worker/dataset/source_files.h"

namespace stockpot {
namespace {

constexpr char kSplit[] = "split";

absl::Status InvalidLine(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

bool IsRow(const Json& value) {
  if (value.is_number() || value.is_boolean()) return true;
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_number(); });
}

// The values of one field.
class JsonColumn {
 public:
  JsonColumn(std::string name, bool is_list) : name_(std::move(name)), is_list_(is_list) {}

  const std::string& name() const { return name_; }
  bool is_list() const { return is_list_; }
  const std::vector<int64_t>& lengths() const { return lengths_; }

  absl::Status Add(const Json& object) {
    const auto found = object.find(name_);
    if (found == object.end()) return Bad("is missing");
    if (found->is_array() != is_list_ || !IsRow(*found)) {
      return Bad(is_list_ ? "is no list of numbers that has any" : "is no number");
    }
    if (!is_list_) return AddNumber(*found);
    lengths_.push_back(static_cast<int64_t>(found->size()));
    for (const Json& one : *found) RETURN_IF_ERROR(AddNumber(one));
    return absl::OkStatus();
  }

  TensorInfo Describe(int64_t rows) const {
    std::vector<int64_t> shape = {rows};
    if (is_list_) shape.push_back(kAnyLength);
    return {name_, whole_ ? DType::kInt64 : DType::kFloat32, std::move(shape)};
  }

  // The elements, in little-endian.
  absl::Status Scan(const TensorRows::Take& take) const {
    if (whole_) return take(Bytes(integers_));
    std::vector<float> numbers(integers_.begin(), integers_.end());
    numbers.insert(numbers.end(), floats_.begin(), floats_.end());
    return take(Bytes(numbers));
  }

 private:
  template <typename Number>
  static absl::string_view Bytes(const std::vector<Number>& numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
  }

  absl::Status Bad(absl::string_view what) const {
    return InvalidLine(absl::StrCat("field '", name_, "' ", what));
  }

  absl::Status AddNumber(const Json& value) {
    if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) {
      return Bad("is beyond 2^63");
    }
    if (value.is_number_float()) whole_ = false;
    if (whole_) {
      integers_.push_back(value.is_boolean() ? int64_t{value.get<bool>()} : value.get<int64_t>());
    } else {
      floats_.push_back(value.is_boolean() ? static_cast<float>(value.get<bool>())
                                           : value.get<float>());
    }
    return absl::OkStatus();
  }

  const std::string name_;
  const bool is_list_;
  bool whole_ = true;
  // Those before the first that is not whole, and those from there on.
  std::vector<int64_t> integers_;
  std::vector<float> floats_;
  std::vector<int64_t> lengths_;  // of a list: of each row
};

class JsonRows final : public TensorRows {
 public:
  JsonRows(StampedFiles files, const DataSetSource& source) : files_(std::move(files)) {
    split_ = source.split;
    label_ = source.label_tensor;
    wanted_ = source.inputs;
    weights_ = source.weight_tensor;
  }

  absl::Status Read(absl::string_view text, const DataSetLimits& limits) {
    JsonLineReader lines(text, limits.max_line_bytes);
    Json object;
    while (true) {
      const absl::StatusOr<bool> added = AddLine(&lines, limits);
      if (!added.ok()) {
        return WithReason(Annotate(added.status(), absl::StrCat("line ", lines.line())),
                          "DATA_SET_INVALID");
      }
      if (!*added) break;
    }
    if (rows_ == 0) {
      return WithReason(absl::InvalidArgumentError(
                            split_.empty() ? "there are no lines"
                                           : absl::StrCat("there is no line of split ", split_)),
                        "DATA_SET_EMPTY");
    }
    std::sort(columns_.begin(), columns_.end(),
              [](const auto& a, const auto& b) { return a->name() < b->name(); });
    for (const auto& column : columns_) tensors_.push_back(column->Describe(rows_));
    return absl::OkStatus();
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::Status Scan(size_t index, const Take& take) const override {
    return columns_[index]->Scan(take);
  }
  absl::StatusOr<std::vector<int64_t>> Lengths(size_t index) const override {
    return columns_[index]->lengths();
  }
  std::string default_label_tensor() const override {
    return FindTensor(tensors_, "label").has_value() ? "label" : "labels";
  }
  void AddToKey(Sha256* key) const override {
    files_.AddToKey(key);
    key->UpdateField("JSON lines 1").UpdateField(split_);
  }
  absl::Status CheckUnchanged() const override { return files_.CheckUnchanged(); }

 private:
  // False at the end.
  absl::StatusOr<bool> AddLine(JsonLineReader* lines, const DataSetLimits& limits) {
    Json object;
    ASSIGN_OR_RETURN(const bool found, lines->Next(&object));
    if (!found) return false;
    if (!split_.empty()) {
      ASSIGN_OR_RETURN(const std::string split, JsonLabel(object, kSplit));
      if (split != split_) return true;
    }
    if (++rows_ > static_cast<int64_t>(limits.max_examples)) {
      return InvalidLine(absl::StrCat("more than ", limits.max_examples, " examples"));
    }
    if (rows_ == 1) ChooseColumns(object);
    for (const auto& column : columns_) RETURN_IF_ERROR(column->Add(object));
    return true;
  }

  // By the first line. What is asked for and is not there is an error of who looks for it.
  void ChooseColumns(const Json& object) {
    for (const auto& [name, value] : object.items()) {
      const bool chosen = wanted_.empty() ? IsRow(value) : IsWanted(name);
      if (chosen) columns_.push_back(std::make_unique<JsonColumn>(name, value.is_array()));
    }
  }

  bool IsWanted(const std::string& name) const {
    if (std::find(wanted_.begin(), wanted_.end(), name) != wanted_.end()) return true;
    if (!weights_.empty() && name == weights_) return true;
    return label_.empty() ? name == "label" || name == "labels" : name == label_;
  }

  const StampedFiles files_;
  std::string split_, label_, weights_;
  std::vector<std::string> wanted_;
  int64_t rows_ = 0;
  std::vector<std::unique_ptr<JsonColumn>> columns_;
  std::vector<TensorInfo> tensors_;
};

absl::StatusOr<std::shared_ptr<const MappedFile>> Map(const DataSetSource& source,
                                                      const DataSetLimits& limits) {
  auto file = MappedFile::Open(source.path);
  if (!file.ok()) {
    return WithReason(file.status(),
                      absl::IsNotFound(file.status()) ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
  }
  if ((*file)->bytes().size() <= limits.max_manifest_bytes) return *std::move(file);
  return InvalidLine(absl::StrCat("larger than ", limits.max_manifest_bytes, " bytes"));
}

}  // namespace

absl::StatusOr<bool> HoldsJsonRows(const DataSetSource& source, const DataSetLimits& limits) {
  if (!source.inputs.empty()) return true;
  if (!source.image_column.empty()) return false;
  ASSIGN_OR_RETURN(const auto file, Map(source, limits));
  Json object;
  JsonLineReader lines(file->bytes(), limits.max_line_bytes);
  const absl::StatusOr<bool> found = lines.Next(&object);
  if (!found.ok() || !*found || HasPath(object)) return false;  // a manifest's to complain about
  return std::any_of(object.begin(), object.end(),
                     [](const Json& value) { return value.is_array() && IsRow(value); });
}

absl::StatusOr<std::shared_ptr<const TensorRows>> OpenJsonRows(const DataSetSource& source,
                                                               const DataSetLimits& limits) {
  ASSIGN_OR_RETURN(
      StampedFiles files,
      StampedFiles::Create({{source.path.substr(source.path.rfind('/') + 1), source.path}}));
  ASSIGN_OR_RETURN(const auto file, Map(source, limits));
  auto rows = std::make_shared<JsonRows>(std::move(files), source);
  RETURN_IF_ERROR(rows->Read(file->bytes(), limits));
  return rows;
}

}  // namespace stockpot
