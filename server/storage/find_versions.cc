// The half of remote_files.h that tells what versions of listed files there are now.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/storage/remote_files.h"

namespace stockpot {
namespace {

// Fewer files of one place are looked at one by one.
constexpr size_t kFewestToList = 8;
// A listing of so many more files than are wanted costs less than a look at each of these.
constexpr size_t kListedForEach = 20;

using Places = std::map<std::tuple<std::string, std::string, std::string>, std::vector<size_t>>;

// The files of one bucket, repository's revision or host.
Places GroupByPlace(const std::vector<RemoteFiles::NamedFile>& files) {
  Places places;
  for (size_t i = 0; i < files.size(); ++i) {
    const RemoteUri& uri = files[i].uri;
    places[{uri.scheme, uri.authority, uri.revision}].push_back(i);
  }
  return places;
}

// The deepest folder that all of them are below.
RemoteUri FolderOf(const std::vector<RemoteFiles::NamedFile>& files,
                   const std::vector<size_t>& members) {
  RemoteUri folder = files[members.front()].uri;
  const auto shorten = [&](size_t length) {
    folder.path.resize(length);
    const size_t slash = folder.path.rfind('/');
    folder.path.resize(slash == std::string::npos ? 0 : slash + 1);
  };
  shorten(folder.path.size());
  for (const size_t i : members) {
    const std::string& path = files[i].uri.path;
    size_t same = 0;
    while (same < std::min(path.size(), folder.path.size()) && path[same] == folder.path[same]) {
      ++same;
    }
    if (same < folder.path.size()) shorten(same);
  }
  if (!folder.path.empty()) folder.path.pop_back();  // as ParseRemoteFolder has it
  return folder;
}

absl::Status CannotBeKnownAgain() {
  return WithReason(absl::FailedPreconditionError(
                        "its server does not say how large it is, or gives nothing that "
                        "tells its versions apart (an entity tag, a time of change)"),
                    "SOURCE_UNSUPPORTED");
}

absl::Status LookAt(RemoteStore* store, const RemoteFiles::NamedFile& wanted,
                    const KeepGoing& keep_going, ListedFile* found) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RemoteFile> file,
                   store->Look(wanted.uri, Purpose::kData, keep_going));
  const RemoteFile::Facts& facts = file->facts();
  const bool is_empty = facts.size.has_value() && *facts.size == 0;
  if (!facts.size.has_value() || (facts.version.empty() && !is_empty)) return CannotBeKnownAgain();
  ASSIGN_OR_RETURN(found->uri, ParseRemoteUri(facts.pinned_uri));
  found->path = wanted.name;
  found->size = *facts.size;
  found->version = facts.version;
  return absl::OkStatus();
}

// Takes what is wanted out of a listing; gives what is missing there.
std::vector<size_t> TakeListed(const std::vector<RemoteFiles::NamedFile>& files,
                               const std::vector<size_t>& members, std::vector<ListedFile> listed,
                               std::vector<ListedFile>* found) {
  std::map<std::string, ListedFile*> by_path;
  for (ListedFile& file : listed) by_path[file.uri.path] = &file;
  std::vector<size_t> missing;
  for (const size_t i : members) {
    const auto one = by_path.find(files[i].uri.path);
    if (one == by_path.end()) {
      missing.push_back(i);
      continue;
    }
    (*found)[i] = *one->second;
    (*found)[i].path = files[i].name;
  }
  return missing;
}

}  // namespace

absl::StatusOr<std::vector<ListedFile>> RemoteFiles::FindVersions(
    const std::vector<NamedFile>& files, const Progress& progress) {
  std::vector<ListedFile> found(files.size());
  std::vector<size_t> to_look_at;
  absl::Mutex mutex;
  const KeepGoing keep_going = [&] {
    absl::MutexLock lock(&mutex);
    return progress(0, 0);
  };
  for (const auto& [place, members] : GroupByPlace(files)) {
    std::vector<size_t> missing = members;
    if (members.size() >= kFewestToList) {
      const size_t most = std::min(kMostFolderFiles, 1000 + kListedForEach * members.size());
      absl::StatusOr<std::vector<ListedFile>> listed =
          List(FolderOf(files, members), most, keep_going);
      // Without listings, without the right to list, or with too much there: one by one.
      if (listed.ok()) missing = TakeListed(files, members, *std::move(listed), &found);
      RETURN_IF_ERROR(keep_going());
    }
    to_look_at.insert(to_look_at.end(), missing.begin(), missing.end());
  }
  const auto look = [&](size_t k) -> absl::Status {
    const NamedFile& wanted = files[to_look_at[k]];
    ASSIGN_OR_RETURN(RemoteStore* const store, StoreOf(wanted.uri));
    const auto try_once = [&] { return LookAt(store, wanted, keep_going, &found[to_look_at[k]]); };
    return Retry(options_.download.retry, options_.download.sleep, keep_going, try_once);
  };
  const auto look_named = [&](size_t k) { return AtFile(look(k), files[to_look_at[k]].name); };
  RETURN_IF_ERROR(
      ForEachInParallel(to_look_at.size(), look_named, Unwatched, options_.folder_connections));
  return found;
}

}  // namespace stockpot
