#include "server/worker/dataset/tensor_data_set.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/open_checkpoint.h"
#include "server/worker/dataset/content_digest.h"
#include "server/worker/dataset/digest_cache.h"
#include "server/worker/dataset/dtype_range.h"
#include "server/worker/dataset/example_selection.h"
#include "server/worker/dataset/state_dict_rows.h"
#include "server/worker/dataset/tensor_cache.h"
#include "server/worker/dataset/tensor_roles.h"

namespace stockpot {
namespace {

absl::Status Invalid(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

// As a checkpoint reader says it, under the reasons of data sets.
absl::Status AsDataSetError(const absl::Status& status) {
  const bool missing = absl::IsNotFound(status);
  return WithReason(status, missing ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
}

std::string DescribeShape(const TensorInfo& tensor) {
  return absl::StrCat("tensor '", tensor.name, "' of shape [", absl::StrJoin(tensor.shape, ", "),
                      "]");
}

// [N, …] of `examples` rows that hold something.
absl::Status CheckInput(const TensorInfo& info, int64_t examples) {
  if (info.shape.empty() || info.shape[0] != examples) {
    return WithMetadata(Invalid(absl::StrCat(DescribeShape(info), ": there are ", examples,
                                             " labels, so [", examples, ", …] is expected")),
                        "tensor", info.name);
  }
  if (!IsList(info) && info.byte_count() == 0) {
    return WithMetadata(Invalid(absl::StrCat(DescribeShape(info), " is empty")), "tensor",
                        info.name);
  }
  return absl::OkStatus();
}

class TensorDataSet final : public DataSet {
 public:
  TensorDataSet(std::shared_ptr<const StateDict> tensors, std::vector<std::string> class_names)
      : tensors_(std::move(tensors)), class_names_(std::move(class_names)) {}

  absl::Status Read(const TensorRoles& roles, const DataSetLimits& limits) {
    RETURN_IF_ERROR(AddLabels(roles.label, limits));
    if (roles.weights.has_value()) RETURN_IF_ERROR(AddWeights(*roles.weights));
    if (roles.lengths.has_value()) RETURN_IF_ERROR(AddLengths(*roles.lengths));
    scratch_.resize(roles.inputs.size());
    for (size_t k = 0; k < roles.inputs.size(); ++k) {
      RETURN_IF_ERROR(AddInput(roles.inputs[k], &scratch_[k]));
    }
    return absl::OkStatus();
  }

  absl::Status SetPadValues(const std::map<std::string, double>& values) {
    for (const auto& pad : values) {
      const auto& [name, value] = pad;
      const auto input = std::find_if(inputs_.begin(), inputs_.end(),
                                      [&](const InputInfo& one) { return one.name == pad.first; });
      if (input == inputs_.end()) {
        return Invalid(absl::StrCat("pad_values names '", name, "', which is no input"));
      }
      if (!input->varies()) continue;
      if (!CanHold(input->dtype, value)) {
        return Invalid(absl::StrCat("pad_values: ", DTypeName(input->dtype), " of '", name,
                                    "' cannot hold ", value));
      }
      input->pad_value = value;
    }
    return absl::OkStatus();
  }

  std::string ComputeDigest() const {
    return ContentDigest(inputs_, examples_, labels_, lengths_, weights_);
  }
  void set_digest(std::string digest) { digest_ = std::move(digest); }

  int64_t size() const override { return labels_.example_count; }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  LabelKind label_kind() const override { return labels_.kind; }
  absl::Span<const int64_t> labels() const override { return labels_.integers; }
  absl::Span<const double> targets() const override { return labels_.numbers; }
  absl::Span<const double> weights() const override { return weights_; }
  int64_t class_count() const override {
    return class_names_.empty() ? labels_.class_count : static_cast<int64_t>(class_names_.size());
  }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  const char* example(size_t k, int64_t i) const override {
    const auto index = static_cast<size_t>(i);
    const size_t unit = inputs_[k].varies() ? static_cast<size_t>(begins_[index]) : index;
    return examples_[k] + unit * inputs_[k].byte_count;
  }
  int64_t length(int64_t i) const override {
    return lengths_.empty() ? 0 : lengths_[static_cast<size_t>(i)];
  }
  const std::string& digest() const override { return digest_; }

 private:
  absl::Status AddWeights(size_t index) {
    const TensorInfo& info = tensors_->tensors()[index];
    const bool of_tokens = labels_.kind == LabelKind::kTokens;
    if (info.shape.size() != (of_tokens ? 2 : 1)) {
      return Invalid(absl::StrCat(
          DescribeShape(info), of_tokens ? ": weights of tokens are one number a label, [N, length]"
                                         : ": weights are one number an example, [N]"));
    }
    RETURN_IF_ERROR(CheckInput(info, size()));
    if (of_tokens && info.shape[1] != labels_.length) {
      return Invalid(
          absl::StrCat(DescribeShape(info), ": the labels of an example are ", labels_.length));
    }
    std::vector<char> scratch;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, ReadTensor(index, &scratch));
    RETURN_IF_ERROR(ReadWeights(info, bytes, &weights_));
    if (!of_tokens) return absl::OkStatus();
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (labels_.integers[i] == kIgnoredToken) weights_[i] = 0;
    }
    return CheckWeights(info.name, weights_, "token");
  }

  // Out of the cache, which holds them as they were checked.
  absl::Status AddLengths(size_t index) {
    std::vector<char> scratch;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, ReadTensor(index, &scratch));
    lengths_.resize(static_cast<size_t>(size()));
    if (bytes.size() != lengths_.size() * sizeof(int64_t))
      return Invalid("its lengths are damaged");
    std::memcpy(lengths_.data(), bytes.data(), bytes.size());
    for (const int64_t length : lengths_) {
      begins_.push_back(positions_);
      if (length < 1 || length > std::numeric_limits<int64_t>::max() - positions_) {
        return Invalid("its lengths are damaged");
      }
      positions_ += length;
    }
    return absl::OkStatus();
  }

  // [positions of all examples, …]; never as many as there are examples.
  bool Varies(const TensorInfo& info) const {
    return !lengths_.empty() && !info.shape.empty() && info.shape[0] != size() &&
           info.shape[0] == positions_;
  }

  absl::Status AddLabels(size_t index, const DataSetLimits& limits) {
    const TensorInfo& info = tensors_->tensors()[index];
    // Before anything is copied.
    if (!info.shape.empty() && static_cast<uint64_t>(info.element_count()) > limits.max_examples) {
      return Invalid(
          absl::StrCat(DescribeShape(info), ": labels are limited to ", limits.max_examples));
    }
    std::vector<char> scratch;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, ReadTensor(index, &scratch));
    ASSIGN_OR_RETURN(labels_, ReadLabels(info, bytes));
    return absl::OkStatus();
  }

  absl::Status AddInput(size_t index, std::vector<char>* scratch) {
    const TensorInfo& info = tensors_->tensors()[index];
    const bool varies = Varies(info);
    RETURN_IF_ERROR(CheckInput(info, varies ? positions_ : size()));
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, ReadTensor(index, scratch));
    InputInfo input{info.name, info.dtype, {info.shape.begin() + 1, info.shape.end()}};
    if (varies) input.shape.insert(input.shape.begin(), kAnyLength);
    input.byte_count = bytes.size() / static_cast<size_t>(info.shape[0]);
    inputs_.push_back(std::move(input));
    examples_.push_back(bytes.data());
    return absl::OkStatus();
  }

  absl::StatusOr<absl::Span<const char>> ReadTensor(size_t index,
                                                    std::vector<char>* scratch) const {
    auto bytes = tensors_->Read(index, scratch);
    if (!bytes.ok()) return AsDataSetError(bytes.status());
    return bytes;
  }

  const std::shared_ptr<const StateDict> tensors_;
  std::vector<std::vector<char>> scratch_;  // of inputs that the file does not store contiguously
  std::vector<InputInfo> inputs_;
  std::vector<const char*> examples_;
  // Of inputs that differ in length: of each example, where it begins, and of all together.
  std::vector<int64_t> lengths_, begins_;
  int64_t positions_ = 0;
  std::vector<double> weights_;
  Labels labels_;
  const std::vector<std::string> class_names_;
  std::string digest_;
};

std::string TensorsKey(const TensorRows& rows, const std::string& label_tensor,
                       const DataSetSource& source) {
  Sha256 key;
  // What came later has a beginning of its own, so that keys from before stay.
  const bool has_more = !source.weight_tensor.empty() || !source.pad_values.empty();
  key.UpdateField(has_more ? "stockpot tensors 2" : "stockpot tensors 1");
  if (has_more) {
    key.UpdateField(source.weight_tensor).UpdateFieldSize(source.pad_values.size());
    for (const auto& [name, value] : source.pad_values) {
      key.UpdateField(name).UpdateField(absl::StrFormat("%a", value));
    }
  }
  rows.AddToKey(&key);
  const std::optional<size_t> label = FindTensor(rows.tensors(), label_tensor);
  if (!source.weight_tensor.empty() && label.has_value() &&
      rows.tensors()[*label].shape.size() > 1) {
    key.UpdateField("of tokens");  // releases that knew none made files that are not good for it
  }
  key.UpdateField(label_tensor).UpdateField(DescribeSelection(source.selection));
  for (const std::vector<std::string>& names : {source.inputs, source.class_names}) {
    key.UpdateFieldSize(names.size());
    for (const std::string& name : names) key.UpdateField(name);
  }
  for (const auto& [from, to] : source.label_map) key.UpdateField(from).UpdateField(to);
  return key.Finish();
}

// Whether the tensors must be written anew to be used.
bool IsConverted(const TensorRows& rows, const DataSetSource& source) {
  return rows.AsStateDict() == nullptr || Selects(source.selection) || !source.label_map.empty() ||
         !source.class_names.empty();
}

std::vector<std::string> ClassNamesOf(const TensorRows& rows, const std::string& label_tensor,
                                      const DataSetSource& source) {
  if (!source.class_names.empty()) return source.class_names;
  if (!source.label_map.empty()) return {};  // it gives numbers
  return rows.ClassNames(label_tensor);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TensorRows>> OpenSafetensorsRows(const std::string& path) {
  ASSIGN_OR_RETURN(StampedFiles files,
                   StampedFiles::Create({{path.substr(path.rfind('/') + 1), path}}));
  // Raw: no prefix is taken off the names, as of a wrapped model's.
  auto file = OpenRawCheckpoint(path, {}, /*state_dict_key=*/"");
  if (!file.ok()) return AsDataSetError(file.status());
  if (file->state_dict->format() != "safetensors") {
    return Invalid(
        absl::StrCat("a ", file->state_dict->format(), " file: tensors are read from safetensors"));
  }
  return MakeStateDictRows(std::move(file->state_dict), std::move(files));
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenTensorDataSet(const TensorRows& rows,
                                                                 const DataSetSource& source,
                                                                 const CacheFolder& cache,
                                                                 const DataSetLimits& limits,
                                                                 const Progress& progress) {
  const std::string label_tensor =
      source.label_tensor.empty() ? rows.default_label_tensor() : source.label_tensor;
  ASSIGN_OR_RETURN(TensorRoles roles, FindTensorRoles(rows.tensors(), label_tensor, source.inputs,
                                                      source.weight_tensor));
  const std::string key = TensorsKey(rows, label_tensor, source);
  std::shared_ptr<const StateDict> tensors = rows.AsStateDict();
  const bool converted = IsConverted(rows, source);
  if (converted) {
    const TensorInfo& label = rows.tensors()[roles.label];
    for (const size_t input : roles.inputs) {
      RETURN_IF_ERROR(CheckInput(rows.tensors()[input], label.shape.empty() ? 0 : label.shape[0]));
    }
    ASSIGN_OR_RETURN(tensors, OpenCachedTensors(rows, roles, source, limits, cache, key, progress));
    ASSIGN_OR_RETURN(roles, FindCachedRoles(tensors->tensors(), rows.tensors(), roles));
  }
  auto data_set =
      std::make_shared<TensorDataSet>(tensors, ClassNamesOf(rows, label_tensor, source));
  RETURN_IF_ERROR(data_set->Read(roles, limits));
  RETURN_IF_ERROR(data_set->SetPadValues(source.pad_values));
  RETURN_IF_ERROR(rows.CheckUnchanged());  // it may have been replaced before it was mapped

  const auto compute = [&]() -> absl::StatusOr<std::string> {
    if (!converted) RETURN_IF_ERROR(rows.Verify());
    std::string digest = data_set->ComputeDigest();
    RETURN_IF_ERROR(rows.CheckUnchanged());
    return digest;
  };
  ASSIGN_OR_RETURN(std::string digest, OpenOrMakeDigest(cache, key, limits, compute));
  data_set->set_digest(std::move(digest));
  return data_set;
}

}  // namespace stockpot
