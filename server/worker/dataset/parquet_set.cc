#include "server/worker/dataset/parquet_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {
namespace {

absl::Status InvalidSet(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

const Json* Member(const Json* json, const char* key) {
  if (json == nullptr || !json->is_object()) return nullptr;
  const auto found = json->find(key);
  return found == json->end() ? nullptr : &*found;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ParquetSet>> ParquetSet::Open(std::vector<SourceFile> files,
                                                                   const DataSetLimits& limits) {
  ASSIGN_OR_RETURN(StampedFiles stamped, StampedFiles::Create(std::move(files)));
  const std::shared_ptr<ParquetSet> set(new ParquetSet(std::move(stamped), limits));
  for (size_t file = 0; file < set->files_.files().size(); ++file) {
    const absl::Status added = set->AddFile(file);
    if (!added.ok()) return Annotate(added, set->files_.files()[file].name);
  }
  if (set->row_count_ > 0) return set;
  return WithReason(absl::InvalidArgumentError("the Parquet files have no rows"), "DATA_SET_EMPTY");
}

absl::Status ParquetSet::AddFile(size_t file) {
  ASSIGN_OR_RETURN(const auto opened, ParquetFile::Open(files_.files()[file].path, limits_));
  if (file == 0) {
    columns_ = opened->columns();
    RETURN_IF_ERROR(ReadFeatures(opened->huggingface()));
  } else if (opened->columns() != columns_) {
    return InvalidSet(
        absl::StrCat("its columns are others than those of ", files_.files()[0].name));
  }
  int64_t row_in_file = 0;
  for (size_t index = 0; index < opened->group_rows().size(); ++index) {
    const int64_t rows = opened->group_rows()[index];
    if (rows > 0) groups_.push_back({file, index, row_in_file, row_count_, rows});
    row_in_file += rows;
    row_count_ += rows;
  }
  if (row_count_ <= static_cast<int64_t>(limits_.max_examples)) return absl::OkStatus();
  return InvalidSet(absl::StrCat("more than ", limits_.max_examples, " examples"));
}

absl::Status ParquetSet::ReadFeatures(const std::string& huggingface) {
  if (huggingface.empty()) return absl::OkStatus();
  absl::StatusOr<Json> json = ParseJson(huggingface);
  if (!json.ok()) return InvalidSet("its metadata 'huggingface' is not JSON");
  const Json* features = Member(Member(&*json, "info"), "features");
  if (features == nullptr || !features->is_object()) return absl::OkStatus();
  for (const auto& [column, description] : features->items()) {
    const Json* type = Member(&description, "_type");
    if (type == nullptr || !type->is_string()) continue;
    Feature feature{type->get<std::string>(), {}};
    const Json* names = Member(&description, "names");
    if (feature.type == "ClassLabel" && names != nullptr && names->is_array()) {
      for (const Json& name : *names) {
        if (!name.is_string()) return InvalidSet("a class name in its metadata is no text");
        feature.class_names.push_back(name.get<std::string>());
      }
    }
    features_[column] = std::move(feature);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ParquetSet::Find(const std::string& column) const {
  std::vector<absl::string_view> names;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].name == column) return i;
    if (names.size() < 20) names.emplace_back(columns_[i].name);
  }
  return InvalidSet(absl::StrCat("there is no column '", column,
                                 "'; there are: ", absl::StrJoin(names, ", "),
                                 columns_.size() > names.size() ? ", …" : ""));
}

bool ParquetSet::IsImageFeature(const std::string& column) const {
  const auto found = features_.find(column);
  return found != features_.end() && found->second.type == "Image";
}

std::vector<std::string> ParquetSet::ClassNames(const std::string& column) const {
  const auto found = features_.find(column);
  return found == features_.end() ? std::vector<std::string>() : found->second.class_names;
}

absl::StatusOr<std::string> ParquetSet::LabelColumn(const std::string& asked) const {
  if (!asked.empty()) return asked;
  std::vector<std::string> classes;
  for (const ParquetColumn& column : columns_) {
    if (column.name == "label" || column.name == "labels") return column.name;
    const auto feature = features_.find(column.name);
    if (feature != features_.end() && feature->second.type == "ClassLabel") {
      classes.push_back(column.name);
    }
  }
  if (classes.size() == 1) return classes[0];
  return InvalidSet(classes.empty()
                        ? "there is no column label or labels: name the one with the labels in "
                          "label_tensor"
                        : absl::StrCat("there are several columns of classes, ",
                                       absl::StrJoin(classes, ", "),
                                       ": name the one with the labels in label_tensor"));
}

template <typename Read>
Read ParquetSet::ReadColumn(const Group& group, size_t column,
                            Read (ParquetFile::*read)(size_t, size_t) const) const {
  const auto open_and_read = [&]() -> Read {
    ASSIGN_OR_RETURN(const auto file, ParquetFile::Open(files_.files()[group.file].path, limits_));
    if (file->columns() != columns_ || file->group_rows().size() <= group.index ||
        file->group_rows()[group.index] != group.row_count) {
      return ChangedWhileRead();
    }
    return ((*file).*read)(group.index, column);
  };
  Read result = open_and_read();
  if (result.ok()) return result;
  return Annotate(result.status(), absl::StrCat(name(group), ": column ", columns_[column].name));
}

absl::StatusOr<ParquetFile::Values> ParquetSet::ReadValues(const Group& group,
                                                           size_t column) const {
  return ReadColumn(group, column, &ParquetFile::ReadValues);
}

absl::StatusOr<ParquetFile::Numbers> ParquetSet::ReadNumbers(const Group& group,
                                                             size_t column) const {
  return ReadColumn(group, column, &ParquetFile::ReadNumbers);
}

std::string ParquetSet::NameOf(const Group& group, int64_t row_in_group) const {
  return absl::StrCat(name(group), ": row ", group.row_in_file + row_in_group);
}

}  // namespace stockpot
