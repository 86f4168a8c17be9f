#include "server/storage/remote_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {

absl::Status AtFile(const absl::Status& status, const std::string& name) {
  return status.ok() ? status : WithMetadata(Annotate(status, name), kFileMetadata, name);
}

std::vector<ListedFile> SortedByPath(std::vector<ListedFile> files) {
  std::sort(files.begin(), files.end(),
            [](const ListedFile& a, const ListedFile& b) { return a.path < b.path; });
  return files;
}

absl::Status TooManyFiles(size_t most) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "there are more than ", most, " files below it, which is the most that are listed")),
      "SOURCE_TOO_LARGE");
}

namespace {

absl::Status NotWritten() {
  return WithReason(absl::UnimplementedError("nothing is written to this kind of place"),
                    "NOT_IMPLEMENTED");
}

}  // namespace

absl::Status RemoteStore::Write(const RemoteUri&, const std::shared_ptr<const MappedFile>&,
                                const Progress&) {
  return NotWritten();
}
absl::Status RemoteStore::Remove(const RemoteUri&, const KeepGoing&) { return NotWritten(); }
absl::Status RemoteStore::TryWriting(const RemoteUri&, const KeepGoing&) { return NotWritten(); }

}  // namespace stockpot
