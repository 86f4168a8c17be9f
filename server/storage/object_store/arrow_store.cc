#include "server/storage/object_store/arrow_store.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/util/async_generator.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/storage/object_store/arrow_calls.h"

namespace stockpot {
namespace {

using ArrowFile = std::shared_ptr<arrow::io::RandomAccessFile>;

// What a metadata that has any of these names says changes with the content; stores differ in
// names.
constexpr const char* kVersionKeys[] = {"ETag",          "etag",    "VersionId", "generation",
                                        "Last-Modified", "updated", "mtime"};

// An object that was opened, which is how Arrow looks at one.
struct OpenedObject {
  ArrowFile file;
  uint64_t size = 0;
  std::string version;
};

arrow::Result<OpenedObject> OpenObject(arrow::fs::FileSystem* file_system,
                                       const std::string& path) {
  OpenedObject opened;
  ARROW_ASSIGN_OR_RAISE(opened.file, file_system->OpenInputFile(path));
  ARROW_ASSIGN_OR_RAISE(const int64_t size, opened.file->GetSize());
  opened.size = static_cast<uint64_t>(size);
  ARROW_ASSIGN_OR_RAISE(const auto metadata, opened.file->ReadMetadata());
  if (metadata == nullptr) return opened;
  for (const char* key : kVersionKeys) {
    const auto value = metadata->Get(key);
    if (value.ok()) absl::StrAppend(&opened.version, key, "=", *value, "\n");
  }
  return opened;
}

// How to look at one object, again and again.
struct ObjectPlace {
  std::shared_ptr<arrow::fs::FileSystem> file_system;
  const BoundedCalls* calls;
  ArrowStore::Options options;
  RemoteUri uri;

  absl::StatusOr<OpenedObject> Open(const KeepGoing& keep_going) const {
    const auto opened = std::make_shared<OpenedObject>();
    RETURN_IF_ERROR(Run(options.look_timeout, keep_going,
                        [opened, file_system = file_system, path = ObjectPath(uri)] {
                          return OpenObject(file_system.get(), path).Value(opened.get());
                        }));
    return *opened;
  }

  // Appends nothing to what is not there: gives at most `size` bytes at `begin`.
  absl::StatusOr<std::string> Read(const ArrowFile& file, uint64_t begin, uint64_t size,
                                   const KeepGoing& keep_going) const {
    const auto bytes = std::make_shared<std::string>();
    const auto call = [bytes, file, begin, size]() -> arrow::Status {
      bytes->resize(size);
      ARROW_ASSIGN_OR_RAISE(
          const int64_t count,
          file->ReadAt(static_cast<int64_t>(begin), static_cast<int64_t>(size), bytes->data()));
      bytes->resize(static_cast<size_t>(std::clamp<int64_t>(count, 0, static_cast<int64_t>(size))));
      return arrow::Status::OK();
    };
    RETURN_IF_ERROR(Run(TimeFor(size, options), keep_going, call));
    return std::move(*bytes);
  }

  absl::Status Run(absl::Duration timeout, const KeepGoing& keep_going,
                   std::function<arrow::Status()> call) const {
    return CallArrow(*calls, options, uri, timeout, keep_going, std::move(call));
  }
};

class ObjectFile final : public RemoteFile {
 public:
  ObjectFile(Facts facts, ObjectPlace place, ArrowFile file)
      : RemoteFile(std::move(facts)), place_(std::move(place)), file_(std::move(file)) {}

  absl::Status Read(uint64_t begin, uint64_t end, const Sink& sink,
                    const KeepGoing& keep_going) override {
    ASSIGN_OR_RETURN(const ArrowFile file, OpenFile(keep_going));
    while (begin < end) {
      const absl::StatusOr<std::string> read =
          place_.Read(file, begin, std::min(end - begin, place_.options.read_bytes), keep_going);
      // Of stores that read by version: this one may be gone, with another in its place.
      if (absl::IsNotFound(read.status())) RETURN_IF_ERROR(CheckUnchanged(keep_going));
      RETURN_IF_ERROR(read.status());
      const std::string& bytes = *read;
      if (bytes.empty()) {
        RETURN_IF_ERROR(CheckUnchanged(keep_going));
        return ComesLater("fewer bytes came than were asked for");
      }
      RETURN_IF_ERROR(sink(bytes));
      begin += bytes.size();
    }
    const absl::Status unchanged = CheckUnchanged(keep_going);
    // Whether the bytes are of this version is not known then.
    return absl::IsUnavailable(unchanged)
               ? WithReason(absl::DataLossError(unchanged.message()), "SOURCE_DAMAGED")
               : unchanged;
  }

  absl::Status ReadAll(const Sink& sink, const KeepGoing& keep_going) override {
    return Read(0, facts().size.value_or(0), sink, keep_going);
  }

 private:
  // Google's client closes a file for good when the connection by which it was looked at breaks.
  absl::StatusOr<ArrowFile> OpenFile(const KeepGoing& keep_going) {
    const absl::MutexLock lock(&mutex_);
    if (!file_->closed()) return file_;
    ASSIGN_OR_RETURN(OpenedObject now, place_.Open(keep_going));
    RETURN_IF_ERROR(CheckVersion(now));
    if (now.file->closed()) return ComesLater("the connection broke");
    file_ = std::move(now.file);
    return file_;
  }

  absl::Status CheckUnchanged(const KeepGoing& keep_going) const {
    ASSIGN_OR_RETURN(const OpenedObject now, place_.Open(keep_going));
    return CheckVersion(now);
  }

  absl::Status CheckVersion(const OpenedObject& now) const {
    if (now.version == facts().version && now.size == facts().size) return absl::OkStatus();
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          ObjectPlaceName(place_.uri),
                          ": the object changed while it was read; try again once it is at rest")),
                      "CHECKPOINT_CHANGED");
  }

  absl::Status ComesLater(absl::string_view why) const {
    return WithReason(absl::UnavailableError(absl::StrCat(ObjectPlaceName(place_.uri), ": ", why)),
                      "SOURCE_UNAVAILABLE");
  }

  const ObjectPlace place_;
  absl::Mutex mutex_;
  ArrowFile file_ ABSL_GUARDED_BY(mutex_);
};

using FileInfos = std::vector<arrow::fs::FileInfo>;

// Every file below; at least one more than `most` where there are more: some of Arrow's file
// systems list all of it at once.
arrow::Result<FileInfos> ListBelow(arrow::fs::FileSystem* file_system, const std::string& path,
                                   size_t most) {
  arrow::fs::FileSelector selector;
  selector.base_dir = path;
  selector.recursive = true;
  FileInfos files;
  const arrow::fs::FileInfoGenerator next = file_system->GetFileInfoGenerator(selector);
  while (files.size() <= most) {
    arrow::Future<FileInfos> coming = next();
    ARROW_ASSIGN_OR_RAISE(const FileInfos page, coming.MoveResult());
    if (arrow::IsIterationEnd(page)) break;
    for (const arrow::fs::FileInfo& info : page) {
      if (info.type() == arrow::fs::FileType::File) files.push_back(info);
    }
  }
  return files;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteFile>> ArrowStore::Look(const RemoteUri& uri, Purpose,
                                                             const KeepGoing& keep_going) {
  ObjectPlace place{file_system_, calls_, options_, uri};
  ASSIGN_OR_RETURN(OpenedObject opened, place.Open(keep_going));
  RemoteFile::Facts facts;
  facts.version = opened.version;
  facts.size = opened.size;
  facts.has_ranges = true;
  facts.pinned_uri = uri.ToString();
  return std::make_unique<ObjectFile>(std::move(facts), std::move(place), std::move(opened.file));
}

absl::StatusOr<std::vector<ListedFile>> ArrowStore::List(const RemoteUri& folder, size_t most,
                                                         const KeepGoing& keep_going) {
  const auto infos = std::make_shared<FileInfos>();
  const std::string base = ObjectPath(folder);
  RETURN_IF_ERROR(CallArrow(*calls_, options_, folder, options_.list_timeout, keep_going,
                            [infos, file_system = file_system_, base, most] {
                              return ListBelow(file_system.get(), base, most).Value(infos.get());
                            }));
  if (infos->size() > most) return TooManyFiles(most);
  std::vector<ListedFile> files;
  for (const arrow::fs::FileInfo& info : *infos) {
    ListedFile file;
    file.path = info.path().substr(std::min(info.path().size(), base.size() + 1));
    const absl::StatusOr<RemoteUri> uri = Below(folder, file.path);
    if (!uri.ok() || file.path.empty()) continue;
    file.uri = *uri;
    file.size = static_cast<uint64_t>(std::max<int64_t>(info.size(), 0));
    file.version = absl::StrCat(info.mtime().time_since_epoch().count());
    files.push_back(std::move(file));
  }
  return SortedByPath(std::move(files));
}

}  // namespace stockpot
