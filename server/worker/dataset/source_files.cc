#include "server/worker/dataset/source_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {
namespace {

constexpr int kMaxFolderDepth = 32;

absl::StatusOr<std::string> StampOf(const SourceFile& file) {
  struct stat info;
  if (stat(file.path.c_str(), &info) != 0) {
    const absl::Status status = Annotate(ErrnoStatus(errno, "cannot open"), file.name);
    return WithReason(status, absl::IsNotFound(status) ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
  }
  if (!S_ISREG(info.st_mode)) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(file.name, ": not a file")),
                      "DATA_SET_INVALID");
  }
  return absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec,
                      " ", info.st_mtim.tv_nsec, " ", info.st_ctim.tv_sec, " ",
                      info.st_ctim.tv_nsec);
}

class FileFinder {
 public:
  FileFinder(const std::string& root, absl::string_view end, const DataSetLimits& limits,
             const std::function<bool(const std::string&)>& wanted)
      : root_(root), end_(end), limits_(limits), wanted_(wanted) {}

  absl::Status Walk(const std::string& folder, int depth) {
    if (depth > kMaxFolderDepth) return Invalid(folder, "folders are nested too deeply");
    std::error_code error;
    const std::string path = folder.empty() ? root_ : absl::StrCat(root_, "/", folder);
    for (std::filesystem::directory_iterator entry(path, error), last; !error && entry != last;
         entry.increment(error)) {
      const std::string base = entry->path().filename().string();
      if (base[0] == '.') continue;
      RETURN_IF_ERROR(Take(*entry, folder.empty() ? base : absl::StrCat(folder, "/", base), depth));
    }
    if (!error) return absl::OkStatus();
    return WithReason(
        ErrnoStatus(error.value(), "cannot list the folder"),
        error == std::errc::no_such_file_or_directory ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
  }

  std::vector<SourceFile> Take() { return std::move(files_); }

 private:
  static absl::Status Invalid(const std::string& name, absl::string_view message) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(name, ": ", message)),
                      "DATA_SET_INVALID");
  }

  absl::Status Take(const std::filesystem::directory_entry& entry, const std::string& name,
                    int depth) {
    std::error_code ignored;
    const bool is_folder = entry.is_directory(ignored);
    const bool is_wanted = absl::EndsWith(name, end_) && wanted_(name);
    if (!is_folder && !is_wanted) return absl::OkStatus();
    if (entry.is_symlink(ignored)) return Invalid(name, "symbolic links are not followed");
    if (is_folder) return Walk(name, depth + 1);
    if (files_.size() >= limits_.max_files) {
      return Invalid(name, absl::StrCat("more than ", limits_.max_files, " files"));
    }
    files_.push_back({name, entry.path().string()});
    return absl::OkStatus();
  }

  const std::string& root_;
  const absl::string_view end_;
  const DataSetLimits& limits_;
  const std::function<bool(const std::string&)>& wanted_;
  std::vector<SourceFile> files_;
};

}  // namespace

absl::StatusOr<StampedFiles> StampedFiles::Create(std::vector<SourceFile> files) {
  StampedFiles stamped;
  for (const SourceFile& file : files) {
    ASSIGN_OR_RETURN(stamped.stamps_.emplace_back(), StampOf(file));
  }
  stamped.files_ = std::move(files);
  return stamped;
}

void StampedFiles::AddToKey(Sha256* key) const {
  for (size_t i = 0; i < files_.size(); ++i) {
    key->UpdateField(files_[i].name).UpdateField(files_[i].path).UpdateField(stamps_[i]);
  }
}

absl::Status StampedFiles::CheckUnchanged() const {
  for (size_t i = 0; i < files_.size(); ++i) {
    const absl::StatusOr<std::string> now = StampOf(files_[i]);
    if (!now.ok() || *now != stamps_[i]) return Annotate(ChangedWhileRead(), files_[i].name);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SourceFile>> FindSourceFiles(
    const std::string& folder, absl::string_view end, const DataSetLimits& limits,
    const std::function<bool(const std::string&)>& wanted) {
  FileFinder finder(folder, end, limits, wanted);
  RETURN_IF_ERROR(finder.Walk("", 0));
  std::vector<SourceFile> files = finder.Take();
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.name < b.name; });
  return files;
}

absl::StatusOr<std::string> ReadPart(const std::string& path, uint64_t offset, uint64_t size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot open");
  std::string bytes(size, '\0');
  uint64_t done = 0;
  ssize_t count = 1;
  while (done < size && count > 0) {
    count = pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR)
      count = 1;
    else if (count > 0)
      done += static_cast<uint64_t>(count);
  }
  const int error = count < 0 ? errno : 0;
  close(fd);
  if (error != 0) return ErrnoStatus(error, "cannot read");
  if (done < size) return absl::DataLossError("the file ends early");
  return bytes;
}

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

}  // namespace stockpot
