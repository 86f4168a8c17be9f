// Reads JSON that follows Protocol Buffers' JSON mapping into plain structs: int64 as number or
// decimal string, absent fields leave the default, fields of another type are violations that name
// their path. nlohmann::json does the parsing.
//
//   JsonReader reader(json, "spec");
//   reader.Read("uri", &uri);
//   for (JsonReader& item : reader.List("ingredients")) …
//   if (!reader.violations().empty()) …
//
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_BASE_JSON_READER_H_
#define STOCKPOT_SERVER_BASE_JSON_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/status.h"

namespace stockpot {

using Json = nlohmann::json;

// Parses text without exceptions. INVALID_ARGUMENT when it is not JSON or nested over 100 deep.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// The text of `json` without exceptions: bytes that are not UTF-8 become U+FFFD. On one line, or
// with `indent` spaces a level.
std::string DumpJson(const Json& json, int indent = -1);

class JsonReader {
 public:
  // `json` must outlive the reader. A value that is no object is a violation.
  JsonReader(const Json& json, std::string path);

  void Read(const std::string& key, std::string* value);
  void Read(const std::string& key, int64_t* value);
  void Read(const std::string& key, int* value);
  void Read(const std::string& key, uint64_t* value);
  void Read(const std::string& key, double* value);
  void Read(const std::string& key, bool* value);
  // google.protobuf.Duration: seconds as "3.5s". Not negative.
  void Read(const std::string& key, absl::Duration* value);
  void Read(const std::string& key, std::map<std::string, std::string>* values);
  void Read(const std::string& key, std::map<std::string, double>* values);
  void Read(const std::string& key, std::vector<std::string>* values);
  void Read(const std::string& key, std::vector<int64_t>* values);
  void Read(const std::string& key, std::vector<double>* values);
  void Read(const std::string& key, std::vector<float>* values);

  bool Has(const std::string& key) const;
  // The object under `key`; an empty object when absent.
  JsonReader Object(const std::string& key);
  // The objects of the list under `key`; empty when absent.
  std::vector<JsonReader> List(const std::string& key);

  void AddViolation(const std::string& key, std::string description);
  // Path of a field of this object, "ingredients[3].uri".
  std::string Path(const std::string& key) const;

  // All violations of this reader and of those made from it, in the order they were found.
  const std::vector<FieldViolation>& violations() const { return *violations_; }
  // INVALID_ARGUMENT with reason INVALID_FIELD and every violation, or OK.
  absl::Status status() const;

 private:
  JsonReader(const Json& json, std::string path,
             std::shared_ptr<std::vector<FieldViolation>> shared);
  const Json* Find(const std::string& key) const;
  template <typename Value, typename Convert>
  void ReadList(const std::string& key, std::vector<Value>* values, Convert convert,
                const char* expected);
  template <typename Value, typename Convert>
  void ReadMap(const std::string& key, std::map<std::string, Value>* values, Convert convert,
               const char* expected);

  const Json* json_;
  std::string path_;
  std::shared_ptr<std::vector<FieldViolation>> violations_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_JSON_READER_H_
