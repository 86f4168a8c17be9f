#include "server/worker/session/manifest_files.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/worker/dataset/json_rows.h"
#include "server/worker/dataset/manifest_images.h"

namespace stockpot {
namespace {

// Where a file is, and the first entry that names it.
struct Wanted {
  std::string uri;
  const ManifestEntry* entry;
};
using WantedFiles = std::map<std::string, Wanted>;  // by the name of the copy

// The manifest's folder; an empty scheme: it is of this machine.
absl::StatusOr<RemoteUri> FolderOf(const std::string& uri) {
  if (!IsRemoteUri(uri)) return RemoteUri();
  return ParseRemoteFolder(uri.substr(0, uri.rfind('/') + 1));
}

absl::Status Add(const ManifestEntry& entry, const RemoteUri& folder, WantedFiles* wanted) {
  std::string name, uri;
  if (IsRemoteUri(entry.path)) {
    name = CopyNameOf(entry.path);
    uri = entry.path;
  } else if (folder.scheme.empty()) {
    return absl::OkStatus();
  } else {
    ASSIGN_OR_RETURN(name, NormalManifestPath(entry.path));
    const absl::StatusOr<RemoteUri> file = Below(folder, name);
    if (!file.ok()) return WithReason(file.status(), "DATA_SET_INVALID");
    uri = file->ToString();
  }
  const auto [known, is_new] = wanted->try_emplace(std::move(name), Wanted{uri, &entry});
  if (is_new || known->second.uri == uri) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError("two files would have this name here"),
                    "DATA_SET_INVALID");
}

absl::StatusOr<WantedFiles> FilesElsewhere(const std::string& uri,
                                           const std::vector<ManifestEntry>& entries) {
  ASSIGN_OR_RETURN(const RemoteUri folder, FolderOf(uri));
  WantedFiles wanted;
  for (const ManifestEntry& entry : entries) {
    const absl::Status added = Add(entry, folder, &wanted);
    if (!added.ok()) return AtEntry(added, entry);
  }
  return wanted;
}

// An error of one of the files, at its line in place of its name here.
absl::Status AtLine(const absl::Status& status, const WantedFiles& wanted) {
  const ErrorFacts facts = GetErrorFacts(status);
  const auto name = facts.metadata.find(kFileMetadata);
  const auto file = name == facts.metadata.end() ? wanted.end() : wanted.find(name->second);
  if (file == wanted.end()) return status;
  if (absl::IsNotFound(status)) {
    return AtEntry(
        WithReason(absl::InvalidArgumentError("there is no such file"), "IMAGE_UNREADABLE"),
        *file->second.entry);
  }
  const std::string begin = absl::StrCat(file->first, ": ");
  const absl::Status plain(status.code(), absl::StripPrefix(status.message(), begin));
  return AtEntry(WithFacts(plain, facts), *file->second.entry);
}

}  // namespace

absl::StatusOr<SourceLocator::Located> BringManifestFiles(const std::string& uri,
                                                          const DataSetLimits& limits,
                                                          SourceLocator* locator,
                                                          const Progress& progress,
                                                          DataSetSource* source) {
  SourceLocator::Located located;
  if (source->kind == DataSetSource::Kind::kJsonLines) {
    ASSIGN_OR_RETURN(const bool is_rows, HoldsJsonRows(*source, limits));
    if (is_rows) return located;
  }
  ASSIGN_OR_RETURN(const std::vector<ManifestEntry> entries, ReadManifestFile(*source, limits));
  ASSIGN_OR_RETURN(const WantedFiles wanted, FilesElsewhere(uri, entries));
  if (wanted.empty()) return located;
  std::vector<SourceLocator::NamedUri> files;
  for (const auto& [name, file] : wanted) files.push_back({name, file.uri});
  absl::StatusOr<SourceLocator::Located> brought = locator->LocateFiles(files, progress);
  if (!brought.ok()) return AtLine(brought.status(), wanted);
  source->uri_folder = brought->file.path;
  if (IsRemoteUri(uri)) source->folder = brought->file.path;
  return brought;
}

}  // namespace stockpot
