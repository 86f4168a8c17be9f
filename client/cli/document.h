// The text of a job file as a tree, with the place of every node for error messages.
// Thread safety: immutable once made; the functions are thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_DOCUMENT_H_
#define STOCKPOT_CLIENT_CLI_DOCUMENT_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace stockpot::cli {

struct Document {
  struct Place {
    int line = 0;  // both count from 1
    int column = 0;
  };
  nlohmann::json root;
  // By field path, such as "ingredients[3].uri"; "" is the root. Empty for JSON that is not YAML as
  // well: its parser does not tell.
  std::map<std::string, Place> places;
};

// Errors: INVALID_ARGUMENT with line and column; also for a key given twice in one object, and for
// trees too deep or (through aliases) too large to be a job.
absl::StatusOr<Document> ParseYaml(const std::string& text);
absl::StatusOr<Document> ParseJson(const std::string& text);

// "parent.key", or "key" at the root; "parent[index]".
std::string ChildPath(const std::string& parent, const std::string& key);
std::string ChildPath(const std::string& parent, size_t index);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_DOCUMENT_H_
