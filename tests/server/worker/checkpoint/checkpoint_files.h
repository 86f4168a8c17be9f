// Fixtures of data/ (made by make_fixtures.py) and files made of given bytes, for these tests.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_
#define STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "server/base/status.h"
#include "server/worker/checkpoint/state_dict.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

// ctest runs in the source tree.
inline std::string Fixture(const std::string& name) {
  return "tests/server/worker/checkpoint/data/" + name;
}

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Opens a file that holds `bytes`.
inline absl::StatusOr<std::shared_ptr<const StateDict>> OpenBytes(const std::string& bytes,
                                                                  CheckpointLimits limits = {}) {
  const TemporaryFolder folder;
  WriteBytes(folder / "file", bytes);
  return OpenCheckpoint(folder / "file", limits);
}

// What a Status says, in one line that tests match: "CODE REASON message".
inline std::string Says(const absl::Status& status) {
  return absl::StatusCodeToString(status.code()) + " " + GetErrorFacts(status).reason + " " +
         std::string(status.message());
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_
