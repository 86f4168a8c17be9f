#include "server/worker/checkpoint/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checked_shape.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

// Receives the parser's events. Every event returns false to stop; status() then says why.
//   depth 1: {NAME: …}    depth 2: {"dtype": …, "shape": …, "data_offsets": …}    depth 3: […]
class HeaderEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderEvents(const CheckpointLimits& limits) : limits_(limits) {}

  const absl::Status& status() const { return status_; }
  std::vector<SafetensorsEntry>& entries() { return entries_; }

  bool start_object(size_t) override {
    ++depth_;
    if (!CheckDepth()) return false;
    if (depth_ == 1) return true;
    if (depth_ == 2) return StartEntry();
    return Fail(in_metadata_ ? "'__metadata__' holds something that is no string"
                             : absl::StrCat(Quote(field_), " is an object"));
  }
  bool end_object() override {
    --depth_;
    return depth_ != 1 || in_metadata_ || FinishEntry();
  }
  bool start_array(size_t) override {
    ++depth_;
    if (!CheckDepth()) return false;
    if (depth_ == 1) return Fail("is not a JSON object");
    if (in_metadata_) return Fail("'__metadata__' holds something that is no string");
    if (depth_ == 3 && (field_ == "shape" || field_ == "data_offsets")) return true;
    return Fail("holds a list where none belongs");
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(string_t& key) override { return depth_ == 1 ? Name(key) : Field(key); }

  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) return true;
    if (depth_ != 2 || field_ != "dtype") return Fail("holds a string where none belongs");
    absl::StatusOr<DType> dtype = ParseDType(text);
    if (!dtype.ok()) return Fail(dtype.status().message());
    entry_.info.dtype = *dtype;
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (depth_ == 3 && field_ == "shape") {
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Fail("has a shape too large for any file");
      }
      entry_.info.shape.push_back(static_cast<int64_t>(number));
      return entry_.info.shape.size() <= static_cast<size_t>(limits_.max_dimensions) ||
             Fail(absl::StrCat("has more than ", limits_.max_dimensions, " dimensions"));
    }
    if (depth_ == 3 && field_ == "data_offsets" && offset_count_ < 2) {
      (offset_count_++ == 0 ? entry_.begin : entry_.end) = number;
      return true;
    }
    return WrongNumber();
  }
  bool number_integer(number_integer_t) override { return WrongNumber(); }
  bool number_float(number_float_t, const string_t&) override { return WrongNumber(); }
  bool boolean(bool) override { return Fail("holds a truth value where none belongs"); }
  bool null() override { return Fail("holds a null where none belongs"); }
  bool binary(binary_t&) override { return Fail("holds binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    name_.clear();
    return Fail(absl::StrCat("is not valid JSON at byte ", position));
  }

 private:
  bool Fail(absl::string_view message) {
    status_ = name_.empty() ? InvalidCheckpoint(absl::StrCat("the safetensors header ", message))
                            : AtTensor(name_, InvalidCheckpoint(message));
    return false;
  }
  bool WrongNumber() {
    if (in_metadata_) return Fail("'__metadata__' holds something that is no string");
    return Fail(absl::StrCat(Quote(field_), " holds a number that does not belong there"));
  }
  bool CheckDepth() {
    return depth_ <= limits_.max_nesting ||
           Fail(absl::StrCat("is nested over ", limits_.max_nesting, " deep"));
  }
  bool Name(const std::string& name) {
    name_.clear();
    in_metadata_ = name == "__metadata__";
    if (in_metadata_)
      return !std::exchange(has_metadata_, true) || Fail("has '__metadata__' twice");
    if (absl::Status status = CheckTensorName(name); !status.ok()) {
      status_ = status;
      return false;
    }
    if (entries_.size() >= limits_.max_tensors) {
      return Fail(absl::StrCat("names more than ", limits_.max_tensors, " tensors"));
    }
    name_ = name;
    return true;
  }
  bool Field(const std::string& field) {
    if (in_metadata_) return true;
    field_ = field;
    bool* seen = field == "dtype"          ? &has_dtype_
                 : field == "shape"        ? &has_shape_
                 : field == "data_offsets" ? &has_offsets_
                                           : nullptr;
    if (seen == nullptr) return Fail(absl::StrCat("has an unknown field ", Quote(field)));
    return !std::exchange(*seen, true) || Fail(absl::StrCat("has ", Quote(field), " twice"));
  }
  bool StartEntry() {
    entry_ = {};
    entry_.info.name = name_;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    offset_count_ = 0;
    field_.clear();
    return true;
  }
  bool FinishEntry() {
    const char* missing = !has_dtype_          ? "dtype"
                          : !has_shape_        ? "shape"
                          : offset_count_ != 2 ? "data_offsets"
                                               : nullptr;
    if (missing != nullptr) return Fail(absl::StrCat("lacks a complete '", missing, "'"));
    absl::Status status = CheckShape(entry_.info.dtype, entry_.info.shape, limits_);
    if (!status.ok()) return Fail(status.message());
    if (entry_.begin > entry_.end) return Fail("ends before it begins");
    if (entry_.end - entry_.begin != entry_.info.byte_count()) {
      return Fail(absl::StrCat("has ", entry_.end - entry_.begin,
                               " bytes, but its shape and dtype need ", entry_.info.byte_count()));
    }
    entries_.push_back(std::move(entry_));
    return true;
  }

  const CheckpointLimits limits_;
  absl::Status status_;
  std::vector<SafetensorsEntry> entries_;
  int depth_ = 0;
  bool in_metadata_ = false;
  bool has_metadata_ = false;
  std::string name_;  // of the tensor the parser is in; empty outside
  std::string field_;
  SafetensorsEntry entry_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offset_count_ = 0;
};

// The tensors must fill the data without overlap or hole: no byte is read twice, none is unseen.
absl::Status CheckLayout(std::vector<SafetensorsEntry>& entries, uint64_t data_size) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.info.name) < std::tie(b.begin, b.end, b.info.name);
  });
  uint64_t position = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != position) {
      return AtTensor(entry.info.name,
                      InvalidCheckpoint(absl::StrCat(
                          entry.begin < position ? "overlaps another tensor" : "comes after a hole",
                          ": begins at byte ", entry.begin, " of the data, expected ", position)));
    }
    position = entry.end;
  }
  if (position < data_size) {
    return InvalidCheckpoint(absl::StrCat(data_size - position,
                                          " bytes follow the last tensor of the safetensors file"));
  }
  for (const SafetensorsEntry& entry : entries) {
    if (entry.end <= data_size) continue;
    return AtTensor(entry.info.name, TruncatedCheckpoint(absl::StrCat(
                                         "the file ends early: ", position,
                                         " bytes of data expected, ", data_size, " are there")));
  }
  return absl::OkStatus();
}

absl::Status SortByName(std::vector<SafetensorsEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
  const auto twin =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const auto& a, const auto& b) { return a.info.name == b.info.name; });
  if (twin == entries.end()) return absl::OkStatus();
  return AtTensor(twin->info.name, InvalidCheckpoint("is named twice in the safetensors header"));
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    absl::string_view header, uint64_t data_size, const CheckpointLimits& limits) {
  HeaderEvents events(limits);
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &events)) {
    return events.status().ok() ? InvalidCheckpoint("the safetensors header is not valid JSON")
                                : events.status();
  }
  std::vector<SafetensorsEntry> entries = std::move(events.entries());
  // Duplicates first: the second of two would else be called an overlap or a hole.
  RETURN_IF_ERROR(SortByName(entries));
  RETURN_IF_ERROR(CheckLayout(entries, data_size));
  RETURN_IF_ERROR(SortByName(entries));
  return entries;
}

}  // namespace stockpot
