#include "server/worker/dataset/manifest_images.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/storage/remote_uri.h"
#include "server/worker/dataset/file_images.h"
#include "server/worker/dataset/manifest_reader.h"

namespace stockpot {
namespace {

absl::StatusOr<std::string> RealPathOf(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         std::free);
  if (real == nullptr) return ErrnoStatus(errno, "cannot open");
  return std::string(real.get());
}

// Where an entry's image is: the folder that it must stay below, and the path from there.
struct EntryPlace {
  const std::string& folder;
  std::string path;
};

absl::StatusOr<ImageFile> Examine(const EntryPlace& place, const std::string& name) {
  ImageFile image{.name = name};
  const std::string path = absl::StrCat(place.folder, "/", place.path);
  const auto real = RealPathOf(path);
  if (!real.ok()) return WithReason(real.status(), "IMAGE_UNREADABLE");
  if (!absl::StartsWith(*real, absl::StrCat(place.folder, "/"))) {
    return WithReason(absl::InvalidArgumentError("a symbolic link that leaves the folder"),
                      "DATA_SET_INVALID");
  }
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return WithReason(absl::InvalidArgumentError("not a file"), "IMAGE_UNREADABLE");
  }
  image.byte_count = static_cast<uint64_t>(info.st_size);
  image.changed_ns = int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec;
  if (place.path != name) image.path = path;
  return image;
}

absl::StatusOr<std::string> RealFolder(const std::string& folder) {
  auto real = RealPathOf(folder);
  if (!real.ok()) return WithReason(real.status(), "DATA_SET_NOT_FOUND");
  return real;
}

absl::StatusOr<FileImages> ListManifest(const DataSetSource& source, const DataSetLimits& limits) {
  FileImages images;
  ASSIGN_OR_RETURN(const std::vector<ManifestEntry> entries, ReadManifestFile(source, limits));
  ASSIGN_OR_RETURN(images.folder, RealFolder(source.folder));
  std::string uri_folder;
  if (!source.uri_folder.empty()) {
    ASSIGN_OR_RETURN(uri_folder, RealFolder(source.uri_folder));
  }
  const auto examine = [&](const std::string& path) -> absl::StatusOr<ImageFile> {
    if (!IsRemoteUri(path)) {
      RETURN_IF_ERROR(NormalManifestPath(path).status());
      return Examine({images.folder, path}, path);
    }
    if (uri_folder.empty()) {
      return WithReason(absl::InvalidArgumentError("is on another machine"), "DATA_SET_INVALID");
    }
    return Examine({uri_folder, CopyNameOf(path)}, path);
  };
  TextLabels labels;
  for (const ManifestEntry& entry : entries) {
    absl::StatusOr<ImageFile> image = examine(entry.path);
    if (!image.ok()) return AtEntry(image.status(), entry);
    images.files.push_back(*std::move(image));
    labels.Add(entry.label);
    if (!source.weight_tensor.empty()) images.weights.push_back(entry.weight);
  }
  images.labels = labels.Take();
  return images;
}

}  // namespace

std::string CopyNameOf(absl::string_view uri) { return absl::StrCat(".uris/", Sha256Hex(uri)); }

absl::StatusOr<std::string> NormalManifestPath(absl::string_view path) {
  absl::Status status;
  if (absl::StartsWith(path, "/")) {
    status = absl::InvalidArgumentError("paths are relative to the manifest's folder");
  } else if (path.find('\0') != absl::string_view::npos) {
    status = absl::InvalidArgumentError("a NUL byte");
  }
  std::vector<absl::string_view> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == ".." && status.ok()) status = absl::InvalidArgumentError("'..' is not allowed");
    if (!part.empty() && part != ".") parts.push_back(part);
  }
  if (!status.ok()) return WithReason(status, "DATA_SET_INVALID");
  return absl::StrJoin(parts, "/");
}

absl::StatusOr<std::vector<ManifestEntry>> ReadManifestFile(const DataSetSource& source,
                                                            const DataSetLimits& limits) {
  const auto file = MappedFile::Open(source.path);
  if (!file.ok()) {
    return WithReason(file.status(),
                      absl::IsNotFound(file.status()) ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
  }
  if ((*file)->bytes().size() > limits.max_manifest_bytes) {
    return WithReason(absl::InvalidArgumentError(
                          absl::StrCat("larger than ", limits.max_manifest_bytes, " bytes")),
                      "DATA_SET_INVALID");
  }
  return ReadManifest((*file)->bytes(), source, limits);
}

absl::Status AtEntry(const absl::Status& status, const ManifestEntry& entry) {
  const std::string shown = ShownUri(entry.path);
  return WithMetadata(Annotate(status, absl::StrCat("line ", entry.line, ": ", shown)), "file",
                      shown);
}

absl::StatusOr<std::shared_ptr<const ImageSource>> OpenManifest(const DataSetSource& source,
                                                                const DataSetLimits& limits) {
  ASSIGN_OR_RETURN(FileImages images, ListManifest(source, limits));
  return MakeFileImages(std::move(images), limits.max_file_bytes,
                        [source, limits] { return ListManifest(source, limits); });
}

}  // namespace stockpot
