#include "server/main/data_folder_id.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/random_id.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMostIdBytes = 64;

std::string IdFile(const std::string& data_folder) {
  return absl::StrCat(data_folder, "/artifacts/.folder_id");
}

}  // namespace

absl::StatusOr<std::string> MarkDataFolder(const std::string& data_folder) {
  const std::string id = absl::StrCat(RandomId(), RandomId());
  RETURN_IF_ERROR(WriteFileDurably(IdFile(data_folder), id));
  return id;
}

std::string NormalFolder(const std::string& data_folder) {
  const std::filesystem::path path = std::filesystem::path(data_folder).lexically_normal();
  return path.has_filename() ? path.string() : path.parent_path().string();
}

std::string ReadDataFolderId(const std::string& data_folder) {
  return ReadSmallFile(IdFile(data_folder), kMostIdBytes).value_or("");
}

}  // namespace stockpot
