// Files that get their names when all of them are whole.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_MERGE_PART_FILES_H_
#define STOCKPOT_SERVER_WORKER_MERGE_PART_FILES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace stockpot {

class PartFiles {
 public:
  explicit PartFiles(std::string folder);
  // Removes what has not been renamed.
  ~PartFiles();
  PartFiles(const PartFiles&) = delete;
  PartFiles& operator=(const PartFiles&) = delete;

  // A path nobody else writes to, NAME.part-… beside the place of `name`.
  std::string Add(const std::string& name);

  // Gives every file its name, in the order they were added, durably.
  absl::Status Rename();

 private:
  const std::string folder_;
  const std::string suffix_;
  std::vector<std::string> names_;  // of files that have not been renamed
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_MERGE_PART_FILES_H_
