// All that is in a folder, to compare. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FOLDER_CONTENTS_H_
#define STOCKPOT_TESTS_SUPPORT_FOLDER_CONTENTS_H_

#include <filesystem>
#include <map>
#include <string>

#include "server/base/files.h"

namespace stockpot {

// The contents of the files below `folder`, by their paths in it. Files are of at most 1 MiB.
inline std::map<std::string, std::string> FolderContents(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    found[entry.path().string().substr(folder.size() + 1)] =
        *ReadSmallFile(entry.path().string(), 1 << 20);
  }
  return found;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FOLDER_CONTENTS_H_
