#include "server/worker/session/scratch_folder.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kPrefix[] = ".soup-part-";

absl::Status RemoveOthers(const std::string& parent) {
  std::vector<std::string> others;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(parent, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (absl::StartsWith(entry->path().filename().string(), kPrefix)) {
      others.push_back(entry->path().string());
    }
  }
  if (error) return ErrnoStatus(error.value(), "cannot list the folder");
  for (const std::string& other : others) RETURN_IF_ERROR(RemoveAll(other));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ScratchFolder> ScratchFolder::Create(const std::string& parent) {
  RETURN_IF_ERROR(RemoveOthers(parent));
  std::string path = absl::StrCat(parent, "/", kPrefix, "XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, "cannot make a folder");
  return ScratchFolder(std::move(path));
}

ScratchFolder::~ScratchFolder() {
  if (!path_.empty()) RemoveAll(path_).IgnoreError();
}

}  // namespace stockpot
