#include "client/cli/read_file.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace stockpot::cli {

absl::StatusOr<std::string> ReadFile(const std::string& path, uintmax_t max_mebibytes) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read as a file"));
  if (size > max_mebibytes << 20) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": larger than it may be (", max_mebibytes, " MiB)"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace stockpot::cli
