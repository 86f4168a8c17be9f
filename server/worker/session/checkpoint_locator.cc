#include "server/worker/session/checkpoint_locator.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/checkpoint_folder.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::Status AsCheckpoint(const absl::Status& status) {
  return absl::IsNotFound(status) ? WithReason(status, "CHECKPOINT_NOT_FOUND") : status;
}

// A file of a checkpoint, and the text that names its folder, ending with "/".
struct NamedFile {
  SourceLocator::Located located;
  std::string folder, name;
};

class Locating {
 public:
  Locating(SourceLocator* locator, const Progress& progress)
      : locator_(locator), progress_(progress) {}

  absl::StatusOr<SourceLocator::Located> Locate(const std::string& uri) {
    absl::StatusOr<SourceLocator::Located> located =
        locator_->Locate(uri, Purpose::kData, After(mebibytes_, progress_));
    if (located.ok()) mebibytes_ += located->mebibytes_told;
    return located;
  }

  absl::StatusOr<NamedFile> FindIn(const std::string& folder) {
    for (const absl::string_view name : kFilesOfCheckpointFolders) {
      auto located = Locate(absl::StrCat(folder, name));
      if (absl::IsNotFound(located.status())) continue;
      RETURN_IF_ERROR(located.status());
      return NamedFile{*std::move(located), folder, std::string(name)};
    }
    return NoCheckpointInFolder();
  }

  absl::StatusOr<NamedFile> FindRemote(const std::string& uri) {
    ASSIGN_OR_RETURN(const RemoteUri remote, ParseRemoteUri(uri));
    if (remote.is_folder()) return FindIn(remote.ToString());
    return FindFile(remote.ToString());
  }

  absl::StatusOr<NamedFile> FindLocal(const std::string& uri) {
    ASSIGN_OR_RETURN(const std::string path, LocalPath(uri));
    ASSIGN_OR_RETURN(NamedFile file, FindFile(path));
    std::error_code ignored;
    if (!std::filesystem::is_directory(file.located.file.path, ignored)) return file;
    return FindIn(path + "/");
  }

  int64_t mebibytes() const { return mebibytes_; }

 private:
  absl::StatusOr<NamedFile> FindFile(const std::string& text) {
    ASSIGN_OR_RETURN(SourceLocator::Located located, Locate(text));
    const size_t slash = text.rfind('/');
    return NamedFile{std::move(located), text.substr(0, slash + 1), text.substr(slash + 1)};
  }

  SourceLocator* const locator_;
  const Progress& progress_;
  int64_t mebibytes_ = 0;
};

// By what the named file is; few checkpoints have any, and only those are remembered.
absl::StatusOr<std::vector<std::string>> FurtherFilesOf(const LocatedCheckpoint& found,
                                                        const CheckpointLimits& limits,
                                                        KnownFurtherFiles* known) {
  const FileIdentity& file = found.identities.front();
  if (const std::vector<std::string>* parts = known->Find(file)) return *parts;
  ASSIGN_OR_RETURN(std::vector<std::string> parts,
                   FurtherFiles(found.files.name, found.files.path, limits));
  if (!parts.empty()) known->Put(file, parts);
  return parts;
}

}  // namespace

absl::StatusOr<LocatedCheckpoint> LocateCheckpoint(const std::string& uri,
                                                   const CheckpointLimits& limits,
                                                   SourceLocator* locator, KnownFurtherFiles* known,
                                                   const Progress& progress) {
  Locating locating(locator, progress);
  absl::StatusOr<NamedFile> file =
      IsRemoteUri(uri) ? locating.FindRemote(uri) : locating.FindLocal(uri);
  if (!file.ok()) return AsCheckpoint(file.status());
  LocatedCheckpoint found;
  found.files.name = file->name;
  found.files.path = file->located.file.path;
  found.identities = {file->located.file};
  found.pinned_uri = file->located.pinned_uri;
  if (!found.pinned_uri.empty()) {
    file->folder = found.pinned_uri.substr(0, found.pinned_uri.rfind('/') + 1);
  }
  const auto parts = FurtherFilesOf(found, limits, known);
  if (IsRemoteUri(uri) && absl::IsNotFound(parts.status())) return LeftTheCache();
  RETURN_IF_ERROR(parts.status());
  for (const std::string& part : *parts) {
    const auto located = locating.Locate(absl::StrCat(file->folder, part));
    if (!located.ok()) {
      return Annotate(AsCheckpoint(located.status()), absl::StrCat("file ", part));
    }
    found.files.parts[part] = located->file.path;
    found.identities.push_back(located->file);
  }
  found.mebibytes_told = locating.mebibytes();
  return found;
}

}  // namespace stockpot
