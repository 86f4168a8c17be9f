// The half of arrow_store.h that writes.
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/base/status.h"
#include "server/storage/object_store/arrow_calls.h"
#include "server/storage/object_store/arrow_store.h"

namespace stockpot {
namespace {

// What is written to see whether something can be.
constexpr absl::string_view kTrial = ".stockpot-can-write";

// A file that is written. Where a stream of Arrow's that goes makes a file of what it has, one that
// was not closed here is aborted, also when a call that nobody waits for any more is the last to
// hold it.
class Upload {
 public:
  Upload(std::shared_ptr<arrow::io::OutputStream> stream, ArrowStore::Options::Abort abort)
      : stream_(std::move(stream)), abort_(abort) {}
  ~Upload() {
    if (is_closed_) return;
    if (abort_ == ArrowStore::Options::Abort::kImpossible) {
      // Some kilobytes are lost; the server forgets what it was sent by itself.
      static_cast<void>(
          std::make_unique<std::shared_ptr<arrow::io::OutputStream>>(std::move(stream_)).release());
    } else {
      (void)stream_->Abort();
    }
  }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  arrow::Status Write(absl::string_view bytes) {
    return stream_->Write(bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  arrow::Status Close() {
    const arrow::Status status = stream_->Close();
    is_closed_ = status.ok();
    return status;
  }

 private:
  std::shared_ptr<arrow::io::OutputStream> stream_;
  const ArrowStore::Options::Abort abort_;
  bool is_closed_ = false;
};

using SharedUpload = std::shared_ptr<std::unique_ptr<Upload>>;

arrow::Status BeginUpload(arrow::fs::FileSystem* file_system, const std::string& path,
                          ArrowStore::Options::Abort abort, const SharedUpload& into) {
  ARROW_ASSIGN_OR_RAISE(auto stream, file_system->OpenOutputStream(path));
  *into = std::make_unique<Upload>(std::move(stream), abort);
  return arrow::Status::OK();
}

}  // namespace

absl::Status ArrowStore::Write(const RemoteUri& uri, const std::shared_ptr<const MappedFile>& file,
                               const Progress& progress) {
  const auto upload = std::make_shared<std::unique_ptr<Upload>>();
  const absl::string_view bytes = file->bytes();
  size_t at = 0;
  const KeepGoing keep_going = [&] {
    return progress(static_cast<int64_t>(at), static_cast<int64_t>(bytes.size()));
  };
  RETURN_IF_ERROR(
      Run(uri, options_.look_timeout, keep_going,
          [upload, file_system = writes_by_, path = ObjectPath(uri), abort = options_.abort] {
            return BeginUpload(file_system.get(), path, abort, upload);
          }));
  while (at < bytes.size()) {
    const absl::string_view part = bytes.substr(at, options_.write_bytes);
    RETURN_IF_ERROR(Run(uri, TimeFor(part.size(), options_), keep_going,
                        [upload, file, part] { return (*upload)->Write(part); }));
    at += part.size();
    file->ForgetPages(part);
    RETURN_IF_ERROR(keep_going());
  }
  // What the stream keeps of the last parts goes now.
  return Run(uri, TimeFor(options_.write_bytes, options_), keep_going,
             [upload, file] { return (*upload)->Close(); });
}

absl::Status ArrowStore::Remove(const RemoteUri& uri, const KeepGoing& keep_going) {
  return Run(
      uri, options_.look_timeout, keep_going,
      [file_system = writes_by_, path = ObjectPath(uri)] { return file_system->DeleteFile(path); });
}

absl::Status ArrowStore::TryWriting(const RemoteUri& folder, const KeepGoing& keep_going) {
  ASSIGN_OR_RETURN(const RemoteUri uri, Below(folder, kTrial));
  const auto call = [file_system = writes_by_, path = ObjectPath(uri),
                     abort = options_.abort]() -> arrow::Status {
    const auto upload = std::make_shared<std::unique_ptr<Upload>>();
    ARROW_RETURN_NOT_OK(BeginUpload(file_system.get(), path, abort, upload));
    if (abort == Options::Abort::kLeavesNothing) return arrow::Status::OK();
    ARROW_RETURN_NOT_OK((*upload)->Close());
    return file_system->DeleteFile(path);
  };
  return Run(uri, options_.look_timeout, keep_going, call);
}

absl::Status ArrowStore::Run(const RemoteUri& uri, absl::Duration timeout,
                             const KeepGoing& keep_going,
                             std::function<arrow::Status()> call) const {
  return CallArrow(*calls_, options_, uri, timeout, keep_going, std::move(call));
}

}  // namespace stockpot
