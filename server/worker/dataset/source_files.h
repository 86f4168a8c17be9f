// The files of a data set that is made of several, or of one that is not an image: finding them in
// a folder, telling whether they are still the same, reading a part of one.
// Thread safety: StampedFiles is immutable, the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_SOURCE_FILES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_SOURCE_FILES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/digest.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

// Files as they were at some moment: path, device, inode, size and times of each.
class StampedFiles {
 public:
  // Errors: NOT_FOUND, reason DATA_SET_NOT_FOUND, naming the file; DATA_SET_INVALID not a file.
  static absl::StatusOr<StampedFiles> Create(std::vector<SourceFile> files);

  const std::vector<SourceFile>& files() const { return files_; }
  void AddToKey(Sha256* key) const;
  // ChangedWhileRead() when one of them is another now.
  absl::Status CheckUnchanged() const;

 private:
  std::vector<SourceFile> files_;
  std::vector<std::string> stamps_;
};

// The files below `folder` whose path from there ends in `end` and is `wanted`, in byte order of
// it. Hidden files and folders are left out, symbolic links are refused.
// Errors: DATA_SET_NOT_FOUND; DATA_SET_INVALID links, folders nested too deeply, too many files.
absl::StatusOr<std::vector<SourceFile>> FindSourceFiles(
    const std::string& folder, absl::string_view end, const DataSetLimits& limits,
    const std::function<bool(const std::string&)>& wanted);

// `size` bytes from `offset` on. DATA_LOSS when the file ends before.
absl::StatusOr<std::string> ReadPart(const std::string& path, uint64_t offset, uint64_t size);

// Whether `path` is a folder; false also where there is nothing.
bool IsFolder(const std::string& path);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_SOURCE_FILES_H_
