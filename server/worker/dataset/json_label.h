// A label in a JSON object: a whole number, or text; and a weight. Thread safety: the functions are
// thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_JSON_LABEL_H_
#define STOCKPOT_SERVER_WORKER_DATASET_JSON_LABEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/json_reader.h"

namespace stockpot {

// As text. INVALID_ARGUMENT when it is not there or something else.
absl::StatusOr<std::string> JsonLabel(const Json& object, absl::string_view field);
// The same of an object that is text itself.
absl::StatusOr<std::string> JsonLabel(absl::string_view text, absl::string_view field);

// A number, or text that is one. Errors: as above, and of ParseWeight.
absl::StatusOr<double> JsonWeight(const Json& object, absl::string_view field);
absl::StatusOr<double> JsonWeight(absl::string_view text, absl::string_view field);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_JSON_LABEL_H_
