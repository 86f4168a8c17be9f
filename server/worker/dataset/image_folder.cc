#include "server/worker/dataset/image_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr int kMaxDepth = 32;
// Kinds that torchvision's ImageFolder takes as images.
constexpr absl::string_view kRead[] = {".jpg", ".jpeg", ".png", ".webp"};
constexpr absl::string_view kNotRead[] = {".ppm", ".pgm", ".bmp", ".tif", ".tiff"};

// "name: message" with the name as metadata "file".
absl::Status AtFile(const absl::Status& status, absl::string_view reason, absl::string_view name) {
  return WithMetadata(WithReason(Annotate(status, name), reason), "file", name);
}

absl::Status Invalid(absl::string_view name, absl::string_view message) {
  return AtFile(absl::InvalidArgumentError(message), "DATA_SET_INVALID", name);
}

absl::Status Empty(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_EMPTY");
}

template <size_t n>
bool HasExtension(absl::string_view name, const absl::string_view (&extensions)[n]) {
  return std::any_of(std::begin(extensions), std::end(extensions),
                     [name](absl::string_view end) { return absl::EndsWithIgnoreCase(name, end); });
}

// The real path, or "" with errno set.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         std::free);
  return real == nullptr ? "" : real.get();
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// Names in a folder in byte order, hidden ones left out.
absl::StatusOr<std::vector<std::string>> ListNames(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(path.c_str()));
  if (folder == nullptr) return ErrnoStatus(errno, "cannot list the folder");
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder.get())) {  // each DIR is used by one thread
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Walker {
 public:
  Walker(const std::string& root, const DataSetLimits& limits) : root_(root), limits_(limits) {}

  absl::Status Walk(const std::string& folder, int64_t label, int depth) {
    if (depth > kMaxDepth) return Invalid(folder, "folders are nested too deeply");
    absl::StatusOr<std::vector<std::string>> names = ListNames(absl::StrCat(root_, "/", folder));
    if (!names.ok()) return AtFile(names.status(), "DATA_SET_INVALID", folder);
    for (const std::string& entry : *names) {
      const std::string name = absl::StrCat(folder, "/", entry);
      struct stat info;
      ASSIGN_OR_RETURN(const bool present, Examine(name, &info));
      if (!present) continue;
      if (S_ISDIR(info.st_mode)) {
        RETURN_IF_ERROR(Walk(name, label, depth + 1));
      } else {
        RETURN_IF_ERROR(AddFile(name, info, label));
      }
    }
    return absl::OkStatus();
  }

  // False: no folder or file whose content could matter. Follows links to files in the data set.
  absl::StatusOr<bool> Examine(const std::string& name, struct stat* info) const {
    const std::string path = absl::StrCat(root_, "/", name);
    if (lstat(path.c_str(), info) != 0) {
      return AtFile(ErrnoStatus(errno, "cannot read"), "DATA_SET_INVALID", name);
    }
    if (!S_ISLNK(info->st_mode)) return S_ISDIR(info->st_mode) || IsImage(name);
    const bool resolved = stat(path.c_str(), info) == 0;
    if (resolved && S_ISDIR(info->st_mode)) {
      return Invalid(name, "symbolic links to folders are not followed");
    }
    if (!IsImage(name)) return false;
    if (!resolved) return Invalid(name, "a symbolic link to nothing that can be read");
    if (!absl::StartsWith(RealPath(path), absl::StrCat(root_, "/"))) {
      return Invalid(name, "a symbolic link that leaves the data set");
    }
    return true;
  }

  std::vector<ImageFile>& files() { return files_; }

 private:
  static bool IsImage(absl::string_view name) {
    return HasExtension(name, kRead) || HasExtension(name, kNotRead);
  }

  absl::Status AddFile(const std::string& name, const struct stat& info, int64_t label) {
    if (!HasExtension(name, kRead)) {
      return Invalid(name, "images of this kind are not read: convert it to JPEG, PNG or WebP");
    }
    if (!S_ISREG(info.st_mode)) return Invalid(name, "not a regular file");
    const auto size = static_cast<uint64_t>(info.st_size);
    if (size > limits_.max_file_bytes) {
      return AtFile(
          absl::InvalidArgumentError(absl::StrCat(size, " bytes, limit ", limits_.max_file_bytes)),
          "IMAGE_UNREADABLE", name);
    }
    if (files_.size() >= limits_.max_examples) {
      return WithReason(
          absl::InvalidArgumentError(absl::StrCat("more than ", limits_.max_examples, " examples")),
          "DATA_SET_INVALID");
    }
    files_.push_back(
        {name, label, size, int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec});
    return absl::OkStatus();
  }

  const std::string& root_;
  const DataSetLimits& limits_;
  std::vector<ImageFile> files_;
};

absl::StatusOr<std::vector<std::string>> ListClassFolders(const std::string& root,
                                                          const Walker& walker) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListNames(root));
  std::vector<std::string> folders;
  for (std::string& name : names) {
    struct stat info;
    ASSIGN_OR_RETURN(const bool present, walker.Examine(name, &info));
    if (present && S_ISDIR(info.st_mode)) folders.push_back(std::move(name));
  }
  if (folders.empty()) return Empty("no class folders: expected CLASS/image files");
  return folders;
}

// `names`, or all `folders` when it is empty.
absl::StatusOr<std::vector<std::string>> ClassesInLabelOrder(
    const std::vector<std::string>& names, const std::vector<std::string>& folders) {
  if (names.empty()) return folders;
  const std::set<std::string> known(names.begin(), names.end());
  if (known.size() != names.size()) {
    return WithReason(absl::InvalidArgumentError("a class name comes twice"), "DATA_SET_INVALID");
  }
  for (const std::string& folder : folders) {
    if (known.count(folder) == 0) {
      return Invalid(folder, "this class folder is not among the class names");
    }
  }
  return names;
}

// Their classes are one folder further down, and all would be taken for two or three.
absl::Status CheckIsNoFolderOfSplits(const std::vector<std::string>& folders) {
  constexpr absl::string_view kSplits[] = {"train", "training",   "val",
                                           "valid", "validation", "test"};
  const auto is_split = [&](const std::string& name) {
    return absl::c_linear_search(kSplits, absl::AsciiStrToLower(name));
  };
  if (folders.empty() || !absl::c_all_of(folders, is_split)) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        "its folders are splits, not classes: ", absl::StrJoin(folders, ", "),
                        "; name one of them (if they are classes, name them in class_names)")),
                    "DATA_SET_INVALID");
}

// torchvision sorts by folder, then by name within it.
std::pair<absl::string_view, absl::string_view> SortKey(const ImageFile& file) {
  const absl::string_view name = file.name;
  const size_t slash = name.rfind('/');
  return {name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

absl::StatusOr<ImageFolder> ListImageFolder(const std::string& path,
                                            const std::vector<std::string>& class_names,
                                            const DataSetLimits& limits) {
  ImageFolder folder;
  folder.path = RealPath(path);
  if (folder.path.empty()) {
    return WithReason(ErrnoStatus(errno, "cannot open the folder"), "DATA_SET_NOT_FOUND");
  }
  struct stat info;
  if (stat(folder.path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return WithReason(absl::InvalidArgumentError(
                          "an image folder is expected, this is a file: files of other formats "
                          "end in .parquet, .tar, .csv, .jsonl, .npz or .safetensors, or the data "
                          "set says its format"),
                      "DATA_SET_INVALID");
  }
  Walker walker(folder.path, limits);
  ASSIGN_OR_RETURN(const std::vector<std::string> folders, ListClassFolders(folder.path, walker));
  if (class_names.empty()) RETURN_IF_ERROR(CheckIsNoFolderOfSplits(folders));
  ASSIGN_OR_RETURN(folder.class_names, ClassesInLabelOrder(class_names, folders));
  for (size_t label = 0; label < folder.class_names.size(); ++label) {
    const std::string& name = folder.class_names[label];
    if (!std::binary_search(folders.begin(), folders.end(), name)) continue;
    const size_t before = walker.files().size();
    RETURN_IF_ERROR(walker.Walk(name, static_cast<int64_t>(label), 1));
    if (walker.files().size() == before) {
      return WithMetadata(Empty(absl::StrCat("class folder ", name,
                                             " holds no image (.jpg, .jpeg, .png, .webp); if this "
                                             "is no folder of images, say the format")),
                          "file", name);
    }
  }
  folder.files = std::move(walker.files());
  std::sort(folder.files.begin(), folder.files.end(), [](const ImageFile& a, const ImageFile& b) {
    return a.label != b.label ? a.label < b.label : SortKey(a) < SortKey(b);
  });
  return folder;
}

absl::StatusOr<std::shared_ptr<const ImageSource>> OpenImageFolder(const DataSetSource& source,
                                                                   const DataSetLimits& limits) {
  // With a label map the class names are those of the labels that it gives.
  const auto names = source.label_map.empty() ? source.class_names : std::vector<std::string>();
  const auto list = [path = source.path, names, limits]() -> absl::StatusOr<FileImages> {
    ASSIGN_OR_RETURN(ImageFolder folder, ListImageFolder(path, names, limits));
    FileImages images{std::move(folder.path), std::move(folder.files), {}, {}};
    for (const ImageFile& file : images.files) images.labels.numbers.push_back(file.label);
    images.labels.names = std::move(folder.class_names);
    images.labels.in_order = true;
    return images;
  };
  ASSIGN_OR_RETURN(FileImages images, list());
  return MakeFileImages(std::move(images), limits.max_file_bytes, list);
}

}  // namespace stockpot
