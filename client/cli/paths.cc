#include "client/cli/paths.h"

#include <glob.h>
#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stockpot::cli {
namespace {

bool IsUri(const std::string& path) { return path.find("://") != std::string::npos; }

// A file whose name merely looks like a pattern is meant literally.
bool IsPattern(const std::string& path) {
  std::error_code ignored;
  return path.find_first_of("*?[") != std::string::npos && !std::filesystem::exists(path, ignored);
}

std::vector<std::string> Glob(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::string AbsolutePath(const std::string& path, const std::string& folder) {
  if (IsUri(path)) return path;
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

std::string AbsolutePath(const std::string& path) {
  std::error_code ignored;
  return AbsolutePath(path, std::filesystem::current_path(ignored).string());
}

std::string InMessage(const std::string& path) {
  if (google::protobuf::internal::IsStructurallyValidUTF8(path.data(),
                                                          static_cast<int>(path.size()))) {
    return path;
  }
  std::string uri = "file://";
  for (const char c : path) {
    const bool stays = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' ||
                       c == '-' || c == '_';
    absl::StrAppend(
        &uri, stays ? std::string(1, c) : absl::StrFormat("%%%02X", static_cast<unsigned char>(c)));
  }
  return uri;
}

absl::StatusOr<std::vector<std::string>> ExpandGlobs(const std::vector<std::string>& patterns) {
  std::vector<std::string> expanded;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    std::vector<std::string> paths = {pattern};
    if (!IsUri(pattern) && IsPattern(pattern)) paths = Glob(pattern);
    if (paths.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("no file matches '", pattern, "'"));
    }
    for (const std::string& path : paths) {
      std::string absolute = AbsolutePath(path);
      if (seen.insert(absolute).second) expanded.push_back(std::move(absolute));
    }
  }
  return expanded;
}

bool IsUriPattern(const std::string& path) {
  return IsUri(path) && path.rfind("http", 0) != 0 &&
         path.find_first_of("*?[", path.find("://") + 3) != std::string::npos;
}

bool IsSafeRelativePath(const std::string& file) {
  const std::filesystem::path path(file);
  if (file.empty() || path.is_absolute() || file.find('\0') != std::string::npos) return false;
  return std::all_of(path.begin(), path.end(), [](const std::filesystem::path& part) {
    return !part.empty() && part != "." && part != "..";
  });
}

}  // namespace stockpot::cli
