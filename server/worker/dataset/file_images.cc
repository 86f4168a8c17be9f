#include "server/worker/dataset/file_images.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

void AddFilesToKey(const FileImages& images, Sha256* key) {
  key->UpdateField(images.folder);
  for (size_t i = 0; i < images.files.size(); ++i) {
    const ImageFile& file = images.files[i];
    key->UpdateField(file.name).UpdateField(
        absl::StrCat(images.labels.numbers[i], " ", file.byte_count, " ", file.changed_ns));
    if (!file.path.empty()) key->UpdateField(file.path);
  }
  for (const std::string& name : images.labels.names) key->UpdateField(name);
  for (const double weight : images.weights) key->UpdateField(absl::StrFormat("%a", weight));
}

class FileImageSource final : public ImageSource {
 public:
  FileImageSource(FileImages images, uint64_t max_file_bytes,
                  std::function<absl::StatusOr<FileImages>()> list_again)
      : images_(std::move(images)),
        max_file_bytes_(max_file_bytes),
        list_again_(std::move(list_again)) {}

  size_t size() const override { return images_.files.size(); }
  const RawLabels& labels() const override { return images_.labels; }
  absl::Span<const double> weights() const override { return images_.weights; }
  std::string NameOf(size_t i) const override { return images_.files[i].name; }

  absl::StatusOr<Encoded> Read(size_t i) const override {
    const ImageFile& file = images_.files[i];
    const std::string path =
        file.path.empty() ? absl::StrCat(images_.folder, "/", file.name) : file.path;
    ASSIGN_OR_RETURN(std::string bytes, ReadSmallFile(path, max_file_bytes_));
    const auto owner = std::make_shared<const std::string>(std::move(bytes));
    return Encoded{*owner, owner};
  }

  void AddToKey(Sha256* key) const override { AddFilesToKey(images_, key); }

  absl::Status CheckUnchanged() const override {
    const absl::StatusOr<FileImages> now = list_again_();
    if (!now.ok()) return ChangedWhileRead();
    Sha256 before, after;
    AddFilesToKey(images_, &before);
    AddFilesToKey(*now, &after);
    return before.Finish() == after.Finish() ? absl::OkStatus() : ChangedWhileRead();
  }

 private:
  const FileImages images_;
  const uint64_t max_file_bytes_;
  const std::function<absl::StatusOr<FileImages>()> list_again_;
};

}  // namespace

std::shared_ptr<const ImageSource> MakeFileImages(
    FileImages images, uint64_t max_file_bytes,
    std::function<absl::StatusOr<FileImages>()> list_again) {
  return std::make_shared<const FileImageSource>(std::move(images), max_file_bytes,
                                                 std::move(list_again));
}

}  // namespace stockpot
