#include "server/storage/checkpoints_below.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "server/base/checkpoint_folder.h"

namespace stockpot {
namespace {

constexpr absl::string_view kEnds[] = {
    ".safetensors",   ".pt", ".pth", ".pth.tar", ".bin", ".ckpt", ".safetensors.index.json",
    ".bin.index.json"};

// With the "/" at its end; "" at the top.
absl::string_view FolderOf(absl::string_view path) { return path.substr(0, path.rfind('/') + 1); }

// Its place among kFilesOfCheckpointFolders, or how many these are.
size_t RankInFolder(absl::string_view name) {
  return static_cast<size_t>(
      std::find(std::begin(kFilesOfCheckpointFolders), std::end(kFilesOfCheckpointFolders), name) -
      std::begin(kFilesOfCheckpointFolders));
}

bool IsNamedAsCheckpoint(absl::string_view name) {
  return !IsOneOfSeveralFiles(name) &&
         std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](absl::string_view end) { return absl::EndsWith(name, end); });
}

}  // namespace

CheckpointsBelow FindCheckpoints(const std::vector<std::string>& paths) {
  std::map<absl::string_view, size_t> whole;  // the folders that are one, and by which file
  for (const absl::string_view path : paths) {
    const absl::string_view folder = FolderOf(path);
    const size_t rank = RankInFolder(path.substr(folder.size()));
    if (rank == std::size(kFilesOfCheckpointFolders)) continue;
    const auto [at, is_new] = whole.emplace(folder, rank);
    if (!is_new) at->second = std::min(at->second, rank);
  }
  // The outermost one that is above, or the file's own folder.
  const auto whole_above = [&](absl::string_view path) {
    size_t end = 0;
    while (true) {
      const auto found = whole.find(path.substr(0, end));
      if (found != whole.end()) return found;
      const size_t slash = path.find('/', end);
      if (slash == absl::string_view::npos) return whole.end();
      end = slash + 1;
    }
  };
  CheckpointsBelow found;
  found.is_one = whole.contains("");
  for (size_t i = 0; i < paths.size(); ++i) {
    const absl::string_view path = paths[i];
    const absl::string_view name = path.substr(FolderOf(path).size());
    const auto above = whole_above(path);
    const bool is_one = above == whole.end()
                            ? IsNamedAsCheckpoint(name)
                            : above->first == FolderOf(path) && above->second == RankInFolder(name);
    if (is_one) found.files.push_back(i);
  }
  return found;
}

}  // namespace stockpot
