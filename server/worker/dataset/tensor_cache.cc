#include "server/worker/dataset/tensor_cache.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/open_checkpoint.h"
#include "server/worker/dataset/copy_rows.h"
#include "server/worker/dataset/example_selection.h"
#include "server/worker/dataset/integer_column.h"
#include "server/worker/dataset/label_resolution.h"
#include "server/worker/dataset/labels.h"

namespace stockpot {
namespace {

absl::Status InvalidRows(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

// One build.
class TensorCacheBuilder {
 public:
  TensorCacheBuilder(const TensorRows& rows, const TensorRoles& roles, const DataSetSource& source,
                     const DataSetLimits& limits)
      : rows_(rows), roles_(roles), source_(source), limits_(limits) {}

  absl::Status Build(const CacheFolder& cache, const std::string& name, const Progress& progress) {
    RETURN_IF_ERROR(rows_.Verify());
    RETURN_IF_ERROR(ReadLabels());
    RETURN_IF_ERROR(DescribeColumns());
    const std::string header = LayOut();
    ASSIGN_OR_RETURN(CacheFolder::PartialFile file, cache.CreatePartial(name, end_));
    RETURN_IF_ERROR(file.WriteAt(header, 0));
    for (size_t k = 0; k < columns_.size(); ++k) {
      RETURN_IF_ERROR(progress(static_cast<int64_t>(k), static_cast<int64_t>(columns_.size())));
      RETURN_IF_ERROR(Write(columns_[k], &file));
    }
    RETURN_IF_ERROR(rows_.CheckUnchanged());
    return file.Commit();
  }

 private:
  // A tensor of the file.
  struct Column {
    TensorInfo info;              // as the file has it
    size_t index = 0;             // of rows_; unused where there is `made`
    absl::string_view made = {};  // its bytes, where they are not those of rows_; never none
    bool differs = false;         // in length: see tensor_cache.h
    uint64_t offset = 0;
  };

  const TensorInfo& label() const { return rows_.tensors()[roles_.label]; }

  // Finds which examples there will be.
  absl::Status ReadLabels() {
    if (label().shape.empty() || label().shape[0] == 0) {
      return WithReason(absl::InvalidArgumentError("the data set has no examples"),
                        "DATA_SET_EMPTY");
    }
    example_count_ = static_cast<size_t>(label().shape[0]);
    if (example_count_ > limits_.max_examples) {
      return InvalidRows(absl::StrCat("more than ", limits_.max_examples, " examples"));
    }
    std::vector<size_t> candidates(example_count_);
    const bool classes = label().shape.size() == 1 && !IsFloatingPoint(label().dtype);
    if (classes) {
      RETURN_IF_ERROR(ResolveClasses(&candidates));
    } else if (!source_.label_map.empty() || !source_.class_names.empty()) {
      return InvalidRows("label_map and class_names are for labels that are classes");
    } else {
      for (size_t i = 0; i < example_count_; ++i) candidates[i] = i;
    }
    ASSIGN_OR_RETURN(chosen_, SelectExamples(candidates.size(), source_.selection));
    for (size_t& row : chosen_) row = candidates[row];
    if (!classes) return absl::OkStatus();
    for (const size_t row : chosen_) classes_.push_back(resolved_[row]);
    classes_resolved_ = true;
    return absl::OkStatus();
  }

  absl::Status ResolveClasses(std::vector<size_t>* candidates) {
    RawLabels raw;
    const auto append = [&](absl::string_view bytes) {
      if (AppendIntegers(label().dtype, bytes, &raw.numbers)) return absl::OkStatus();
      return InvalidRows(absl::StrCat("labels are ", DTypeName(label().dtype)));
    };
    RETURN_IF_ERROR(rows_.Scan(roles_.label, append));
    if (raw.numbers.size() != example_count_) return WrongRowCount(label());
    raw.names = rows_.ClassNames(label().name);
    raw.in_order = !raw.names.empty();
    ASSIGN_OR_RETURN(ResolvedLabels resolved,
                     ResolveLabels(raw, source_.class_names, source_.label_map,
                                   [](size_t i) { return absl::StrCat("example ", i); }));
    if (!source_.label_map.empty() && source_.class_names.empty() &&
        !resolved.class_names.empty()) {
      return InvalidRows("label_map gives names: of tensors it gives numbers, or name the classes");
    }
    candidates->clear();
    for (size_t i = 0; i < example_count_; ++i) {
      if (resolved.classes[i] != ResolvedLabels::kLeftOut) candidates->push_back(i);
    }
    resolved_ = std::move(resolved.classes);
    return absl::OkStatus();
  }

  // The tensors of the file, labels last.
  absl::Status DescribeColumns() {
    for (const size_t input : roles_.inputs) RETURN_IF_ERROR(AddColumn(input));
    if (roles_.weights.has_value()) RETURN_IF_ERROR(AddColumn(*roles_.weights));
    if (classes_resolved_) {
      AddMade(label().name, {static_cast<int64_t>(chosen_.size())}, classes_);
    } else {
      RETURN_IF_ERROR(AddColumn(roles_.label));
    }
    if (lengths_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckLabelsGoWithInputs());
    for (const size_t row : chosen_) chosen_lengths_.push_back(lengths_[row]);
    AddMade(kLengthsTensor, {static_cast<int64_t>(chosen_.size())}, chosen_lengths_);
    const bool known =
        std::any_of(rows_.tensors().begin(), rows_.tensors().end(),
                    [](const TensorInfo& one) { return one.name == kLengthsTensor; });
    return known ? InvalidRows(absl::StrCat("no tensor may be called ", kLengthsTensor))
                 : absl::OkStatus();
  }

  // Tokens are as many as positions.
  absl::Status CheckLabelsGoWithInputs() const {
    const bool label_differs = !padded_labels_.empty();
    if (!padded_weights_.empty() && !label_differs) {
      return InvalidRows(absl::StrCat("the weights '", rows_.tensors()[*roles_.weights].name,
                                      "' differ in length, and the labels '", label().name,
                                      "' do not"));
    }
    if (label_differs && lengths_from_ == label().name) {
      return InvalidRows(
          absl::StrCat("the labels '", label().name, "' differ in length, and no input does"));
    }
    if (label_differs || label().shape.size() == 1) return absl::OkStatus();
    return InvalidRows(absl::StrCat("input '", lengths_from_,
                                    "' differs in length, and the labels '", label().name,
                                    "' are all of one length"));
  }

  // `numbers` are as they will be written.
  template <typename Number>
  void AddMade(const std::string& name, std::vector<int64_t> shape,
               const std::vector<Number>& numbers) {
    constexpr DType kType = std::is_same_v<Number, double> ? DType::kFloat64 : DType::kInt64;
    columns_.push_back(
        {.info = {name, kType, std::move(shape)},
         .made = {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)}});
  }

  absl::Status AddColumn(size_t index) {
    Column column{.info = rows_.tensors()[index], .index = index};
    std::vector<int64_t>& shape = column.info.shape;
    shape[0] = static_cast<int64_t>(chosen_.size());
    if (IsList(column.info)) {
      ASSIGN_OR_RETURN(const std::vector<int64_t> lengths, rows_.Lengths(index));
      if (lengths.size() != example_count_) return WrongRowCount(column.info);
      const int64_t first = lengths[chosen_[0]];
      for (const size_t row : chosen_) column.differs = column.differs || lengths[row] != first;
      shape[1] = first;
      if (column.differs) RETURN_IF_ERROR(TakeLengths(lengths, &column.info));
      list_lengths_[index] = lengths;
    }
    if (column.differs && index == roles_.label) {
      RETURN_IF_ERROR(PadLabels());
      AddMade(column.info.name, {shape[0], longest_}, padded_labels_);
      return absl::OkStatus();
    }
    if (column.differs && index == roles_.weights) {
      RETURN_IF_ERROR(PadWeights(rows_.tensors()[index]));
      AddMade(column.info.name, {shape[0], longest_}, padded_weights_);
      return absl::OkStatus();
    }
    if (column.differs) shape.erase(shape.begin());
    columns_.push_back(std::move(column));
    return absl::OkStatus();
  }

  // Lists of differing length are as long as those before; sets the elements of all in `info`.
  absl::Status TakeLengths(const std::vector<int64_t>& lengths, TensorInfo* info) {
    if (lengths_.empty()) lengths_from_ = info->name;
    int64_t total = 0;
    for (const size_t row : chosen_) {
      const auto tell = [&](absl::string_view what) {
        return InvalidRows(absl::StrCat("example ", row, ": '", info->name, "' has ", lengths[row],
                                        " elements", what));
      };
      if (static_cast<uint64_t>(lengths[row]) > limits_.max_length) {
        return tell(absl::StrCat(": the limit is ", limits_.max_length,
                                 " where they differ; truncate when the data is prepared"));
      }
      if (!lengths_.empty() && lengths_[row] != lengths[row]) {
        return tell(absl::StrCat(" and '", lengths_from_, "' ", lengths_[row],
                                 ": inputs that differ in length must do so together"));
      }
      total += lengths[row];
      longest_ = std::max(longest_, lengths[row]);
    }
    info->shape[1] = total;
    lengths_ = lengths;
    return absl::OkStatus();
  }

  absl::Status PadLabels() {
    std::vector<int64_t> all;
    RETURN_IF_ERROR(rows_.Scan(roles_.label, [&](absl::string_view bytes) {
      if (AppendIntegers(label().dtype, bytes, &all)) return absl::OkStatus();
      return InvalidRows(absl::StrCat("labels are lists of ", DTypeName(label().dtype),
                                      ": tokens are whole numbers"));
    }));
    return Pad(all, kIgnoredToken, label(), &padded_labels_);
  }

  absl::Status PadWeights(const TensorInfo& weights) {
    std::string bytes;
    RETURN_IF_ERROR(rows_.Scan(*roles_.weights, [&](absl::string_view part) {
      absl::StrAppend(&bytes, part);
      return absl::OkStatus();
    }));
    std::vector<double> all;
    RETURN_IF_ERROR(ReadWeights(weights, bytes, &all));
    return Pad(all, 0.0, weights, &padded_weights_);
  }

  // The chosen ones of `all` rows, as long as the longest of them.
  template <typename Number>
  absl::Status Pad(const std::vector<Number>& all, Number behind, const TensorInfo& info,
                   std::vector<Number>* padded) const {
    const auto longest = static_cast<size_t>(longest_);
    if (chosen_.size() > limits_.max_examples / longest) {
      return InvalidRows(absl::StrCat("tensor '", info.name, "': ", chosen_.size(),
                                      " examples, padded to ", longest_,
                                      " labels each: they are limited to ", limits_.max_examples));
    }
    padded->assign(chosen_.size() * longest, behind);
    size_t at = 0, next = 0;
    for (size_t row = 0; row < example_count_ && next < chosen_.size(); ++row) {
      const auto length = static_cast<size_t>(lengths_[row]);
      if (length > all.size() - at) return WrongRowCount(info);
      if (row == chosen_[next]) {
        std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), length,
                    padded->begin() + static_cast<std::ptrdiff_t>(next++ * longest));
      }
      at += length;
    }
    return absl::OkStatus();
  }

  // The header of the file; sets where each tensor begins, and the file ends.
  std::string LayOut() {
    Json json = Json::object();
    uint64_t at = 0;
    for (Column& column : columns_) {
      const uint64_t size = column.info.byte_count();
      json[column.info.name] = {{"dtype", DTypeName(column.info.dtype).data()},
                                {"shape", column.info.shape},
                                {"data_offsets", {at, at + size}}};
      column.offset = at;
      at += size;
    }
    std::string text = DumpJson(json);
    text.append((8 - text.size() % 8) % 8, ' ');
    const uint64_t size = text.size();
    std::string header(sizeof(size), '\0');
    std::memcpy(header.data(), &size, sizeof(size));
    header += text;
    for (Column& column : columns_) column.offset += header.size();
    end_ = header.size() + at;
    return header;
  }

  absl::Status Write(const Column& column, CacheFolder::PartialFile* file) const {
    if (column.made.empty()) {
      const auto lengths = list_lengths_.find(column.index);
      return CopyRows(
          {rows_, column.index, lengths == list_lengths_.end() ? nullptr : &lengths->second},
          example_count_, chosen_, column.offset, file);
    }
    return file->WriteAt(column.made, column.offset);
  }

  const TensorRows& rows_;
  const TensorRoles& roles_;
  const DataSetSource& source_;
  const DataSetLimits& limits_;
  size_t example_count_ = 0;
  std::vector<size_t> chosen_;  // rows, ascending
  bool classes_resolved_ = false;
  std::vector<int64_t> resolved_;  // of every row
  std::vector<int64_t> classes_;   // of the chosen ones
  // Of lists that differ in length: of every row, of the chosen ones, and where they are from.
  std::vector<int64_t> lengths_, chosen_lengths_;
  std::string lengths_from_;
  int64_t longest_ = 0;
  std::vector<int64_t> padded_labels_;
  std::vector<double> padded_weights_;
  std::map<size_t, std::vector<int64_t>> list_lengths_;  // of every list, by its place in rows_
  std::vector<Column> columns_;
  uint64_t end_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const StateDict>> OpenCachedTensors(
    const TensorRows& rows, const TensorRoles& roles, const DataSetSource& source,
    const DataSetLimits& limits, const CacheFolder& cache, const std::string& key,
    const Progress& progress) {
  const std::string name = key + ".tensors";
  const auto open = [&]() -> absl::StatusOr<std::shared_ptr<const StateDict>> {
    ASSIGN_OR_RETURN(RawCheckpoint file, OpenRawCheckpoint(cache.PathOf(name), {}, ""));
    return std::move(file.state_dict);
  };
  const auto build = [&] {
    return TensorCacheBuilder(rows, roles, source, limits).Build(cache, name, progress);
  };
  return OpenOrBuild(cache, name, limits.max_cache_bytes, open, build);
}

}  // namespace stockpot
