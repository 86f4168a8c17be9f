#include "server/worker/dataset/manifest_reader.h"

#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/dataset/json_label.h"
#include "server/worker/dataset/labels.h"

namespace stockpot {
namespace {

constexpr size_t kMaxColumns = 1000;
constexpr const char* kPathColumns[] = {"path", "file_name", "image", "file"};
constexpr char kSplitColumn[] = "split";

absl::Status InvalidManifest(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

std::string LabelColumn(const DataSetSource& source) {
  return source.label_tensor.empty() ? "label" : source.label_tensor;
}

// Records of a CSV text, one after another.
class CsvRecords {
 public:
  CsvRecords(absl::string_view text, const DataSetLimits& limits) : text_(text), limits_(limits) {
    absl::ConsumePrefix(&text_, "\xef\xbb\xbf");
  }

  // False at the end. Lines with nothing at all are passed over.
  absl::StatusOr<bool> Next(std::vector<std::string>* fields) {
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) {
      if (text_[at_++] == '\n') ++line_;
    }
    record_line_ = line_;
    fields->clear();
    if (at_ == text_.size()) return false;
    const size_t begin = at_;
    do {
      if (fields->size() == kMaxColumns) {
        return InvalidManifest(absl::StrCat("more than ", kMaxColumns, " columns"));
      }
      RETURN_IF_ERROR(ReadField(begin, &fields->emplace_back()));
    } while (at_ < text_.size() && text_[at_] == ',' && ++at_ > 0);
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] != '\n') {
      return InvalidManifest("a quoted field goes on behind its closing quote");
    }
    return true;
  }

  uint64_t line() const { return record_line_; }

 private:
  absl::Status ReadField(size_t record_begin, std::string* field) {
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    if (quoted) ++at_;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (at_ - record_begin > limits_.max_line_bytes) {
        return InvalidManifest(absl::StrCat("longer than ", limits_.max_line_bytes, " bytes"));
      }
      if (quoted && c == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') {
          ++at_;
          return absl::OkStatus();
        }
        ++at_;
      } else if (!quoted && (c == ',' || c == '\n' || c == '\r')) {
        return absl::OkStatus();
      }
      if (c == '\n') ++line_;
      field->push_back(c);
    }
    return quoted ? InvalidManifest("a quote is not closed") : absl::OkStatus();
  }

  absl::string_view text_;
  const DataSetLimits& limits_;
  size_t at_ = 0;
  uint64_t line_ = 1, record_line_ = 1;
};

class CsvManifest {
 public:
  CsvManifest(absl::string_view text, const DataSetSource& source, const DataSetLimits& limits)
      : source_(source), records_(text, limits) {}

  absl::Status ReadHeader() {
    ASSIGN_OR_RETURN(const bool found, records_.Next(&columns_));
    if (!found) return InvalidManifest("there is no header line");
    std::vector<std::string> paths = {kPathColumns, kPathColumns + 4};
    if (!source_.image_column.empty()) paths = {source_.image_column};
    for (const std::string& name : paths) {
      if (!path_.has_value()) path_ = Find(name);
    }
    if (!path_.has_value()) return NoColumn(absl::StrJoin(paths, ", "), "image_column");
    label_ = Find(LabelColumn(source_));
    if (!label_.has_value()) return NoColumn(LabelColumn(source_), "label_tensor");
    if (!source_.weight_tensor.empty()) {
      weight_ = Find(source_.weight_tensor);
      if (!weight_.has_value()) return NoColumn(source_.weight_tensor, "weight_tensor");
    }
    if (source_.split.empty()) return CheckUnique();
    split_ = Find(kSplitColumn);
    if (!split_.has_value()) return NoColumn(kSplitColumn, "");
    return CheckUnique();
  }

  // False at the end. An entry of another split has no path.
  absl::StatusOr<bool> Next(ManifestEntry* entry) {
    std::vector<std::string> fields;
    ASSIGN_OR_RETURN(const bool found, records_.Next(&fields));
    if (!found) return false;
    if (fields.size() != columns_.size()) {
      return InvalidManifest(
          absl::StrCat(fields.size(), " fields, and the header has ", columns_.size(), " columns"));
    }
    *entry = {};
    if (!source_.split.empty() && fields[*split_] != source_.split) return true;
    if (weight_.has_value()) {
      ASSIGN_OR_RETURN(entry->weight, ParseWeight(fields[*weight_]));
    }
    entry->path = std::move(fields[*path_]);
    entry->label = std::move(fields[*label_]);
    entry->line = records_.line();
    if (entry->path.empty()) return InvalidManifest("the path is empty");
    return true;
  }

  uint64_t line() const { return records_.line(); }

 private:
  std::optional<size_t> Find(const std::string& name) const {
    const auto found = absl::c_find(columns_, name);
    if (found == columns_.end()) return std::nullopt;
    return static_cast<size_t>(found - columns_.begin());
  }

  // Of columns that are read: which of two is meant nobody knows.
  absl::Status CheckUnique() const {
    for (const std::optional<size_t>& read : {path_, label_, weight_, split_}) {
      if (!read.has_value() || absl::c_count(columns_, columns_[*read]) == 1) continue;
      return InvalidManifest(
          absl::StrCat("the header line has the column ", columns_[*read], " more than once"));
    }
    return absl::OkStatus();
  }

  // `named_by`: the field of the spec that names such a column, or "".
  absl::Status NoColumn(const std::string& names, absl::string_view named_by) const {
    return InvalidManifest(absl::StrCat(
        "there is no column ", names, "; the header line has: ", absl::StrJoin(columns_, ", "),
        named_by.empty() ? "" : ", and ", named_by, named_by.empty() ? "" : " names another"));
  }

  const DataSetSource& source_;
  CsvRecords records_;
  std::vector<std::string> columns_;
  std::optional<size_t> path_, label_, weight_, split_;
};

class JsonLines {
 public:
  JsonLines(absl::string_view text, const DataSetSource& source, const DataSetLimits& limits)
      : lines_(text, limits.max_line_bytes), source_(source) {}

  absl::Status ReadHeader() { return absl::OkStatus(); }

  absl::StatusOr<bool> Next(ManifestEntry* entry) {
    *entry = {};
    Json object;
    ASSIGN_OR_RETURN(const bool found, lines_.Next(&object));
    if (found) RETURN_IF_ERROR(Read(object, entry));
    return found;
  }

  uint64_t line() const { return lines_.line(); }

 private:
  absl::Status Read(const Json& object, ManifestEntry* entry) const {
    if (!source_.split.empty()) {
      ASSIGN_OR_RETURN(const std::string split, JsonLabel(object, kSplitColumn));
      if (split != source_.split) return absl::OkStatus();
    }
    std::string path_field = source_.image_column;
    for (const char* name : kPathColumns) {
      if (path_field.empty() && object.contains(name)) path_field = name;
    }
    const auto path = object.find(path_field);
    if (path == object.end() || !path->is_string() || path->get_ref<const std::string&>().empty()) {
      return InvalidManifest(
          "there is no field with a path: path, file_name, image or file, or "
          "the one that image_column names");
    }
    ASSIGN_OR_RETURN(entry->label, JsonLabel(object, LabelColumn(source_)));
    if (!source_.weight_tensor.empty()) {
      ASSIGN_OR_RETURN(entry->weight, JsonWeight(object, source_.weight_tensor));
    }
    entry->path = path->get<std::string>();
    entry->line = lines_.line();
    return absl::OkStatus();
  }

  JsonLineReader lines_;
  const DataSetSource& source_;
};

template <typename Manifest>
absl::StatusOr<std::vector<ManifestEntry>> ReadAll(Manifest manifest, const DataSetSource& source,
                                                   const DataSetLimits& limits) {
  RETURN_IF_ERROR(Annotate(manifest.ReadHeader(), "line 1"));
  std::vector<ManifestEntry> entries;
  while (true) {
    ManifestEntry entry;
    const absl::StatusOr<bool> found = manifest.Next(&entry);
    if (!found.ok()) {
      return WithReason(Annotate(found.status(), absl::StrCat("line ", manifest.line())),
                        "DATA_SET_INVALID");
    }
    if (!*found) break;
    if (entry.path.empty()) continue;
    if (entries.size() >= limits.max_examples) {
      return InvalidManifest(absl::StrCat("more than ", limits.max_examples, " examples"));
    }
    entries.push_back(std::move(entry));
  }
  if (!entries.empty()) return entries;
  return WithReason(
      absl::InvalidArgumentError(
          source.split.empty() ? "the manifest has no entries"
                               : absl::StrCat("the manifest has no entry of split ", source.split)),
      "DATA_SET_EMPTY");
}

}  // namespace

absl::StatusOr<bool> JsonLineReader::Next(Json* object) {
  while (!text_.empty()) {
    ++line_;
    const size_t end = std::min(text_.find('\n'), text_.size());
    const absl::string_view line = absl::StripAsciiWhitespace(text_.substr(0, end));
    text_.remove_prefix(std::min(end + 1, text_.size()));
    if (line.empty()) continue;
    if (line.size() > max_line_bytes_) {
      return InvalidManifest(absl::StrCat("longer than ", max_line_bytes_, " bytes"));
    }
    ASSIGN_OR_RETURN(*object, ParseJson(line));
    if (!object->is_object()) return InvalidManifest("not a JSON object");
    return true;
  }
  return false;
}

bool HasPath(const Json& object) {
  return absl::c_any_of(kPathColumns, [&](const char* name) { return object.contains(name); });
}

absl::StatusOr<std::vector<ManifestEntry>> ReadManifest(absl::string_view text,
                                                        const DataSetSource& source,
                                                        const DataSetLimits& limits) {
  if (source.kind == DataSetSource::Kind::kCsv) {
    return ReadAll(CsvManifest(text, source, limits), source, limits);
  }
  return ReadAll(JsonLines(text, source, limits), source, limits);
}

}  // namespace stockpot
