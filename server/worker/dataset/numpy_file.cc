#include "server/worker/dataset/numpy_file.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/zip_archive.h"
#include "server/worker/dataset/source_files.h"
#include "server/worker/dataset/state_dict_rows.h"

namespace stockpot {
namespace {

constexpr uint64_t kMaxArrays = 10'000;
constexpr absl::string_view kEnd = ".npy";

absl::Status AsNumpyError(const absl::Status& status, absl::string_view name) {
  if (status.ok()) return status;
  const bool missing = absl::IsNotFound(status);
  const absl::Status named =
      WithMetadata(Annotate(status, absl::StrCat("array '", name, "'")), "tensor", name);
  return WithReason(named, missing ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
}

// Arrays in mapped files.
class NumpyTensors final : public StateDict {
 public:
  absl::Status AddNpz(const std::string& path) {
    auto file = MappedFile::Open(path);
    RETURN_IF_ERROR(file.status());
    ASSIGN_OR_RETURN(archive_, ZipArchive::Open((*file)->bytes(), kMaxArrays));
    files_.push_back(*std::move(file));
    for (const ZipEntry& entry : archive_->entries()) {
      absl::string_view name = entry.name;
      if (!absl::ConsumeSuffix(&name, kEnd)) {
        return AsNumpyError(absl::InvalidArgumentError("no .npy file"), name);
      }
      if (entry.compressed) {
        return AsNumpyError(absl::InvalidArgumentError(
                                "compressed arrays are not read: write the file with numpy.savez"),
                            name);
      }
      RETURN_IF_ERROR(Add(std::string(name), entry.data));
    }
    Finish();
    return absl::OkStatus();
  }

  absl::Status AddFolder(const std::vector<SourceFile>& files) {
    for (const SourceFile& file : files) {
      const std::string name(absl::StripSuffix(file.name, kEnd));
      auto mapped = MappedFile::Open(file.path);
      if (!mapped.ok()) return AsNumpyError(mapped.status(), name);
      files_.push_back(*std::move(mapped));
      RETURN_IF_ERROR(Add(name, files_.back()->bytes()));
    }
    Finish();
    return absl::OkStatus();
  }

  absl::Status Verify() const {
    if (!archive_.has_value()) return absl::OkStatus();
    for (const ZipEntry& entry : archive_->entries()) {
      RETURN_IF_ERROR(AsNumpyError(CheckSum(entry), absl::StripSuffix(entry.name, kEnd)));
    }
    return absl::OkStatus();
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>*) const override {
    return absl::Span<const char>(arrays_[index].bytes.data(), arrays_[index].bytes.size());
  }
  absl::string_view format() const override { return "numpy"; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  absl::Status Add(std::string name, absl::string_view bytes) {
    absl::StatusOr<NumpyArray> array = ParseNumpy(bytes);
    if (!array.ok()) return AsNumpyError(array.status(), name);
    array->info.name = std::move(name);
    arrays_.push_back(*std::move(array));
    return absl::OkStatus();
  }

  void Finish() {
    std::sort(arrays_.begin(), arrays_.end(),
              [](const NumpyArray& a, const NumpyArray& b) { return a.info.name < b.info.name; });
    for (const NumpyArray& array : arrays_) infos_.push_back(array.info);
  }

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::optional<ZipArchive> archive_;
  std::vector<NumpyArray> arrays_;
  std::vector<TensorInfo> infos_;
  const std::vector<std::string> notes_ = {};
};

}  // namespace

absl::StatusOr<std::shared_ptr<const TensorRows>> OpenNumpy(const std::string& path,
                                                            const DataSetLimits& limits) {
  auto tensors = std::make_shared<NumpyTensors>();
  std::vector<SourceFile> files;
  if (IsFolder(path)) {
    ASSIGN_OR_RETURN(files, FindSourceFiles(path, kEnd, limits, [](const std::string& name) {
                       return !absl::StrContains(name, '/');
                     }));
    if (files.size() > kMaxArrays) {
      return WithReason(
          absl::InvalidArgumentError(absl::StrCat("more than ", kMaxArrays, " arrays")),
          "DATA_SET_INVALID");
    }
  } else {
    files = {{path.substr(path.rfind('/') + 1), path}};
  }
  if (files.empty()) {
    return WithReason(absl::InvalidArgumentError("the folder has no .npy file"), "DATA_SET_EMPTY");
  }
  ASSIGN_OR_RETURN(StampedFiles stamped, StampedFiles::Create(files));
  if (IsFolder(path)) {
    RETURN_IF_ERROR(tensors->AddFolder(files));
  } else if (absl::EndsWith(path, kEnd)) {
    return WithReason(absl::InvalidArgumentError(
                          "one .npy file has no labels: give a .npz file, or the folder with the "
                          "files of inputs and labels"),
                      "DATA_SET_INVALID");
  } else {
    const absl::Status added = tensors->AddNpz(path);
    if (!added.ok()) return WithReason(added, "DATA_SET_INVALID");
  }
  const std::shared_ptr<const NumpyTensors> numpy = tensors;
  return MakeStateDictRows(numpy, std::move(stamped), [numpy] { return numpy->Verify(); });
}

}  // namespace stockpot
