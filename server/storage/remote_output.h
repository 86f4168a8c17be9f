// A folder of an object store that a job's artifacts are written to. What is said to be written is
// there whole: every file is read back and compared, and written again where it is not the same.
//
//   ASSIGN_OR_RETURN(RemoteOutput output, RemoteOutput::Open(uri, &remote_files));
//   RETURN_IF_ERROR(output.Write("soup.safetensors", path, progress));
//
// Whether it may be written at all is for AllowList to say first. What helps is tried again.
// Errors of all: PERMISSION_DENIED (reason OUTPUT_NOT_ALLOWED): the operator's credentials may not;
// INVALID_ARGUMENT (INVALID_FIELD): there is no such bucket; DATA_LOSS (SOURCE_DAMAGED): what is
// read back is not what was written; else as RemoteStore; what `keep_going` or `progress` gave.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_STORAGE_REMOTE_OUTPUT_H_
#define STOCKPOT_SERVER_STORAGE_REMOTE_OUTPUT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/remote_files.h"

namespace stockpot {

class RemoteOutput {
 public:
  // `files` must outlive this. Errors: as ParseRemoteFolder; UNIMPLEMENTED (reason
  // NOT_IMPLEMENTED) a scheme without a store.
  static absl::StatusOr<RemoteOutput> Open(const std::string& uri, RemoteFiles* files);

  // What the file of this name holds; none when it is not there. FAILED_PRECONDITION (reason
  // SOURCE_TOO_LARGE): more than `max_bytes`.
  absl::StatusOr<std::optional<std::string>> Read(const std::string& name, size_t max_bytes,
                                                  const KeepGoing& keep_going) const;

  // The content of the local file `path`, in place of what is there. `progress` counts bytes that
  // are written, then read back.
  absl::Status Write(const std::string& name, const std::string& path,
                     const Progress& progress) const;

  absl::Status Remove(const std::string& name, const KeepGoing& keep_going) const;

  // Whether anything could be written. Leaves nothing there.
  absl::Status TryWriting(const KeepGoing& keep_going) const;

 private:
  RemoteOutput(RemoteUri folder, RemoteStore* store, const DownloadOptions* options)
      : folder_(std::move(folder)), store_(store), options_(options) {}
  absl::Status Try(const KeepGoing& keep_going, const std::function<absl::Status()>& attempt) const;
  // DATA_LOSS: what is there is not `file`.
  absl::Status Compare(const RemoteUri& uri, const MappedFile& file,
                       const Progress& progress) const;

  RemoteUri folder_;
  RemoteStore* store_;
  const DownloadOptions* options_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REMOTE_OUTPUT_H_
