#include "server/worker/dataset/parquet_source.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/worker/dataset/integer_column.h"
#include "server/worker/dataset/labels.h"
#include "server/worker/dataset/parquet_set.h"

namespace stockpot {
namespace {

using Group = ParquetSet::Group;

// Row groups that are kept: threads that go through them in order are in two or three at a time.
constexpr size_t kKeptGroups = 4;
constexpr const char* kImageColumns[] = {"image", "img"};

absl::Status InvalidSource(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

absl::Status InvalidColumn(const std::string& column, absl::string_view message) {
  return InvalidSource(absl::StrCat("column '", column, "' ", message));
}

absl::StatusOr<RawLabels> ReadClassColumn(const ParquetSet& set, const std::string& name) {
  ASSIGN_OR_RETURN(const size_t column, set.Find(name));
  const ParquetColumn& described = set.columns()[column];
  if (described.kind == ParquetColumn::Kind::kText) {
    TextLabels texts;
    for (const Group& group : set.groups()) {
      ASSIGN_OR_RETURN(const ParquetFile::Values values, set.ReadValues(group, column));
      for (const absl::string_view text : values.rows) texts.Add(text);
    }
    return texts.Take();
  }
  if (described.kind != ParquetColumn::Kind::kNumbers) {
    return InvalidColumn(name, "holds no labels: they are whole numbers or text");
  }
  RawLabels labels;
  for (const Group& group : set.groups()) {
    ASSIGN_OR_RETURN(const ParquetFile::Numbers numbers, set.ReadNumbers(group, column));
    if (!numbers.shape.empty()) return InvalidColumn(name, "has a list where a label should be");
    if (!AppendIntegers(described.dtype, numbers.bytes, &labels.numbers)) {
      return InvalidColumn(name, absl::StrCat("is ", DTypeName(described.dtype),
                                              ": labels of images are whole numbers or text"));
    }
  }
  labels.names = set.ClassNames(name);
  labels.in_order = !labels.names.empty();
  return labels;
}

// None where no column is asked for.
absl::StatusOr<std::vector<double>> ReadWeightColumn(const ParquetSet& set,
                                                     const std::string& name) {
  std::vector<double> weights;
  if (name.empty()) return weights;
  ASSIGN_OR_RETURN(const size_t column, set.Find(name));
  const ParquetColumn& described = set.columns()[column];
  if (described.kind != ParquetColumn::Kind::kNumbers) {
    return InvalidColumn(name, "holds no weights: they are numbers");
  }
  std::string bytes;
  for (const Group& group : set.groups()) {
    ASSIGN_OR_RETURN(const ParquetFile::Numbers numbers, set.ReadNumbers(group, column));
    if (!numbers.shape.empty()) return InvalidColumn(name, "has a list where a weight should be");
    absl::StrAppend(&bytes, numbers.bytes);
  }
  RETURN_IF_ERROR(ReadWeights({name, described.dtype, {set.row_count()}}, bytes, &weights));
  return weights;
}

class ParquetImages final : public ImageSource {
 public:
  ParquetImages(std::shared_ptr<const ParquetSet> set, size_t column, RawLabels labels,
                std::vector<double> weights)
      : set_(std::move(set)),
        column_(column),
        labels_(std::move(labels)),
        weights_(std::move(weights)) {}

  size_t size() const override { return static_cast<size_t>(set_->row_count()); }
  const RawLabels& labels() const override { return labels_; }
  absl::Span<const double> weights() const override { return weights_; }

  std::string NameOf(size_t i) const override {
    const Group& group = GroupOf(i);
    return set_->NameOf(group, static_cast<int64_t>(i) - group.first_row);
  }

  absl::StatusOr<Encoded> Read(size_t i) const override {
    const Group& group = GroupOf(i);
    const std::shared_ptr<Slot> slot = SlotOf(&group);
    const absl::MutexLock lock(&slot->mutex);
    if (!slot->values.has_value()) slot->values = set_->ReadValues(group, column_);
    RETURN_IF_ERROR(slot->values->status());
    const ParquetFile::Values& values = **slot->values;
    return Encoded{values.rows[i - static_cast<size_t>(group.first_row)], values.owner};
  }

  void AddToKey(Sha256* key) const override {
    set_->files().AddToKey(key);
    key->UpdateField(absl::StrCat("column ", column_));
  }
  bool reads_well_in_any_order() const override { return false; }  // a group is decompressed whole
  absl::Status CheckUnchanged() const override { return set_->files().CheckUnchanged(); }

 private:
  // Whoever needs a group first reads it while the others wait for it, or go on with another.
  struct Slot {
    explicit Slot(const Group* of) : group(of) {}
    const Group* const group;
    absl::Mutex mutex;
    std::optional<absl::StatusOr<ParquetFile::Values>> values ABSL_GUARDED_BY(mutex);
  };

  const Group& GroupOf(size_t i) const {
    const auto after =
        std::upper_bound(set_->groups().begin(), set_->groups().end(), static_cast<int64_t>(i),
                         [](int64_t row, const Group& group) { return row < group.first_row; });
    return *std::prev(after);
  }

  std::shared_ptr<Slot> SlotOf(const Group* group) const {
    const absl::MutexLock lock(&mutex_);
    for (const std::shared_ptr<Slot>& slot : slots_) {
      if (slot->group == group) return slot;
    }
    slots_.push_back(std::make_shared<Slot>(group));
    if (slots_.size() > kKeptGroups) slots_.pop_front();
    return slots_.back();
  }

  const std::shared_ptr<const ParquetSet> set_;
  const size_t column_;
  const RawLabels labels_;
  const std::vector<double> weights_;
  mutable absl::Mutex mutex_;
  mutable std::list<std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
};

class ParquetTensors final : public TensorRows {
 public:
  explicit ParquetTensors(std::shared_ptr<const ParquetSet> set) : set_(std::move(set)) {}

  // Finds the shapes: those of the first row group.
  absl::Status Read(std::vector<std::string> columns) {
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    for (const std::string& name : columns) {
      ASSIGN_OR_RETURN(const size_t column, set_->Find(name));
      const ParquetColumn& described = set_->columns()[column];
      if (described.kind != ParquetColumn::Kind::kNumbers) {
        return InvalidColumn(name, "holds no numbers or lists of numbers");
      }
      ASSIGN_OR_RETURN(const ParquetFile::Numbers first,
                       set_->ReadNumbers(set_->groups()[0], column));
      std::vector<int64_t> shape = {set_->row_count()};
      shape.insert(shape.end(), first.shape.begin(), first.shape.end());
      tensors_.push_back({name, described.dtype, std::move(shape)});
      columns_.push_back(column);
    }
    return absl::OkStatus();
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  absl::Status Scan(size_t index, const Take& take) const override {
    const std::vector<int64_t>& shape = tensors_[index].shape;
    for (const Group& group : set_->groups()) {
      ASSIGN_OR_RETURN(const ParquetFile::Numbers numbers,
                       set_->ReadNumbers(group, columns_[index]));
      if (!std::equal(numbers.shape.begin(), numbers.shape.end(), shape.begin() + 1, shape.end())) {
        return Annotate(InvalidColumn(tensors_[index].name,
                                      "has lists in lists of another length than in the rows "
                                      "before: only the outermost may differ"),
                        set_->NameOf(group, 0));
      }
      RETURN_IF_ERROR(take(numbers.bytes));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<int64_t>> Lengths(size_t index) const override {
    std::vector<int64_t> lengths;
    for (const Group& group : set_->groups()) {
      ASSIGN_OR_RETURN(const ParquetFile::Numbers numbers,
                       set_->ReadNumbers(group, columns_[index]));
      lengths.insert(lengths.end(), numbers.lengths.begin(), numbers.lengths.end());
    }
    return lengths;
  }

  std::string default_label_tensor() const override { return set_->LabelColumn("").value_or(""); }
  std::vector<std::string> ClassNames(const std::string& label_tensor) const override {
    return set_->ClassNames(label_tensor);
  }
  void AddToKey(Sha256* key) const override { set_->files().AddToKey(key); }
  absl::Status CheckUnchanged() const override { return set_->files().CheckUnchanged(); }

 private:
  const std::shared_ptr<const ParquetSet> set_;
  std::vector<TensorInfo> tensors_;
  std::vector<size_t> columns_;
};

// NAME-00001-of-00003[-HASH].parquet: of folders that were copied in part nobody is told a number.
absl::Status CheckNoneIsMissing(const std::vector<SourceFile>& files) {
  std::map<std::pair<std::string, size_t>, std::set<size_t>> parts;
  for (const SourceFile& file : files) {
    const size_t of = file.name.rfind("-of-"), begin = file.name.rfind('-', of - 1);
    size_t part = 0, count = 0;
    if (of == file.name.npos || begin == file.name.npos) continue;
    const absl::string_view rest = absl::string_view(file.name).substr(of + 4);
    if (!absl::SimpleAtoi(file.name.substr(begin + 1, of - begin - 1), &part) ||
        !absl::SimpleAtoi(rest.substr(0, rest.find_first_of("-.")), &count)) {
      continue;
    }
    parts[{file.name.substr(0, begin), count}].insert(part);
  }
  for (const auto& [whole, found] : parts) {
    for (size_t part = 0; part < whole.second; ++part) {
      if (found.contains(part)) continue;
      return InvalidSource(absl::StrCat("part ", part, " of ", whole.first, " is missing (",
                                        found.size(), " of ", whole.second,
                                        " files are there); files that are no part of a set are "
                                        "called otherwise"));
    }
  }
  return absl::OkStatus();
}

// "" when there is none.
absl::StatusOr<std::string> ImageColumn(const ParquetSet& set, const std::string& asked) {
  if (!asked.empty()) {
    ASSIGN_OR_RETURN(const size_t column, set.Find(asked));
    if (set.columns()[column].kind == ParquetColumn::Kind::kBytes) return asked;
    return InvalidColumn(asked, "holds no encoded images");
  }
  std::string found;
  for (const ParquetColumn& column : set.columns()) {
    if (column.kind != ParquetColumn::Kind::kBytes) continue;
    if (set.IsImageFeature(column.name)) return column.name;
    const bool named = std::find(std::begin(kImageColumns), std::end(kImageColumns), column.name) !=
                       std::end(kImageColumns);
    if (named && found.empty()) found = column.name;
  }
  return found;
}

absl::StatusOr<std::vector<SourceFile>> FilesOf(const DataSetSource& source,
                                                const DataSetLimits& limits) {
  std::vector<SourceFile> files = source.files;
  const bool is_folder = files.empty() && IsFolder(source.path);
  if (is_folder) {
    ASSIGN_OR_RETURN(files, FindSourceFiles(source.path, ".parquet", limits,
                                            [](const std::string&) { return true; }));
  } else if (files.empty()) {
    files = {{source.path.substr(source.path.rfind('/') + 1), source.path}};
  }
  const std::string first = files.empty() ? "" : files.front().name;
  std::erase_if(files, [&](const SourceFile& file) { return !IsOfSplit(file.name, source.split); });
  if (is_folder) RETURN_IF_ERROR(CheckNoneIsMissing(files));
  if (!files.empty()) return files;
  return WithReason(
      absl::InvalidArgumentError(
          source.split.empty() ? "the folder has no .parquet file"
                               : absl::StrCat("there is no .parquet file of split ", source.split,
                                              first.empty() ? "" : "; there is ", first)),
      "DATA_SET_EMPTY");
}

}  // namespace

bool IsOfSplit(absl::string_view name, absl::string_view split) {
  if (split.empty()) return true;
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  const absl::string_view base = parts.back();
  if (absl::StartsWith(base, absl::StrCat(split, "-")) || base == absl::StrCat(split, ".parquet")) {
    return true;
  }
  return std::find(parts.begin(), parts.end() - 1, split) != parts.end() - 1;
}

absl::StatusOr<ParquetSource> OpenParquet(const DataSetSource& source,
                                          const DataSetLimits& limits) {
  ASSIGN_OR_RETURN(std::vector<SourceFile> files, FilesOf(source, limits));
  ASSIGN_OR_RETURN(const auto set, ParquetSet::Open(std::move(files), limits));
  ASSIGN_OR_RETURN(const std::string image, ImageColumn(*set, source.image_column));
  ASSIGN_OR_RETURN(const std::string label, set->LabelColumn(source.label_tensor));
  if (!image.empty()) {
    if (!source.inputs.empty()) {
      return InvalidColumn(image, "holds images: input_tensors is for columns of numbers");
    }
    ASSIGN_OR_RETURN(const size_t column, set->Find(image));
    ASSIGN_OR_RETURN(RawLabels labels, ReadClassColumn(*set, label));
    ASSIGN_OR_RETURN(std::vector<double> weights, ReadWeightColumn(*set, source.weight_tensor));
    return ParquetSource{
        std::make_shared<const ParquetImages>(set, column, std::move(labels), std::move(weights)),
        nullptr};
  }
  std::vector<std::string> columns = source.inputs;
  if (columns.empty()) {
    for (const ParquetColumn& column : set->columns()) {
      if (column.kind == ParquetColumn::Kind::kNumbers) columns.push_back(column.name);
    }
  }
  if (absl::c_all_of(columns, [&](const std::string& column) {
        return column == label || column == source.weight_tensor;
      })) {
    return InvalidSource(
        "besides the labels no column holds numbers or lists of them, nor images "
        "(image_column names one of bytes); text is tokenised before it is written");
  }
  columns.push_back(label);
  if (!source.weight_tensor.empty()) columns.push_back(source.weight_tensor);
  auto tensors = std::make_shared<ParquetTensors>(set);
  RETURN_IF_ERROR(tensors->Read(std::move(columns)));
  return ParquetSource{nullptr, std::move(tensors)};
}

}  // namespace stockpot
