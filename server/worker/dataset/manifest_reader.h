// A list of images and labels: CSV with a header line (RFC 4180: quotes, CRLF or LF, a byte order
// mark is passed over), or a JSON object a line. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_READER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_READER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/json_reader.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

struct ManifestEntry {
  std::string path;
  std::string label;
  double weight = 1;  // where `source` names weights
  uint64_t line = 0;  // from 1, where the entry begins
};

// The objects of a text that has one a line; lines of white space alone are passed over.
// Thread-compatible.
class JsonLineReader {
 public:
  JsonLineReader(absl::string_view text, uint64_t max_line_bytes)
      : text_(text), max_line_bytes_(max_line_bytes) {}

  // False at the end. Errors: INVALID_ARGUMENT no object, or a line that is too long.
  absl::StatusOr<bool> Next(Json* object);
  uint64_t line() const { return line_; }  // of the last object, from 1

 private:
  absl::string_view text_;
  const uint64_t max_line_bytes_;
  uint64_t line_ = 0;
};

// Whether the object has a field with a path, under one of the names that spec.proto says.
bool HasPath(const Json& object);

// Columns or fields and `split` as `source` names them; kind kCsv or kJsonLines.
// Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID, naming the line; DATA_SET_EMPTY.
absl::StatusOr<std::vector<ManifestEntry>> ReadManifest(absl::string_view text,
                                                        const DataSetSource& source,
                                                        const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_READER_H_
