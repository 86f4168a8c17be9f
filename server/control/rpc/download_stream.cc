#include "server/control/rpc/download_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/crc32c.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/rpc/job_translation.h"

namespace stockpot {
namespace {

// A worker made the list of artifacts, so it is not trusted to stay in the folder either.
bool StaysInFolder(absl::string_view file) {
  for (absl::string_view part : absl::StrSplit(file, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return file.find('\0') == absl::string_view::npos;
}

absl::Status Changed(absl::string_view message) {
  return WithReason(absl::FailedPreconditionError(message), "ARTIFACT_CHANGED");
}

}  // namespace

DownloadStream::DownloadStream(v1::DownloadArtifactRequest request,
                               std::function<absl::Status()> permitted, Engine* engine,
                               Executor* executor, StreamRegistry* registry)
    : SteppedStream(executor, registry),
      permitted_(std::move(permitted)),
      engine_(engine),
      request_(std::move(request)) {}

DownloadStream::~DownloadStream() {
  if (file_ >= 0) close(file_);
}

absl::StatusOr<StreamStep> DownloadStream::Next(v1::ArtifactChunk* chunk) {
  chunk->Clear();
  const bool first = std::exchange(first_, false);
  if (first) {
    RETURN_IF_ERROR(Open());
    *chunk->mutable_artifact() = artifact_;
  } else if (offset_ == end_) {
    return StreamStep::kEnd;
  }
  chunk->set_offset(offset_);
  std::string& data = *chunk->mutable_data();
  data.resize(static_cast<size_t>(std::min(kChunkBytes, end_ - offset_)));
  for (size_t done = 0; done < data.size();) {
    const ssize_t count = pread(file_, data.data() + done, data.size() - done,
                                static_cast<off_t>(offset_) + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, absl::StrCat("reading ", request_.file()));
    if (count == 0) return Changed("the artifact became shorter while it was read");
    done += static_cast<size_t>(count);
  }
  chunk->set_crc32c(Crc32c(data));
  offset_ += static_cast<int64_t>(data.size());
  return StreamStep::kMessage;
}

absl::Status DownloadStream::Open() {
  RETURN_IF_ERROR(permitted_());
  RETURN_IF_ERROR(CheckJobName(request_.name()));
  if (request_.offset() < 0) return InvalidField("offset", "must not be negative");
  if (request_.limit() < 0) return InvalidField("limit", "must not be negative");
  ASSIGN_OR_RETURN(artifact_, FindArtifact());
  const std::string& pin = request_.expected_sha256();
  if (!pin.empty() && pin != artifact_.sha256()) {
    return WithMetadata(Changed("the artifact has another sha256 than expected_sha256"), "sha256",
                        artifact_.sha256());
  }
  const int64_t size = artifact_.size_bytes();
  if (request_.offset() > size) {
    return WithReason(absl::OutOfRangeError(absl::StrCat("offset ", request_.offset(),
                                                         " is beyond the file's ", size, " bytes")),
                      "OFFSET_OUT_OF_RANGE");
  }
  offset_ = request_.offset();
  const int64_t left = size - offset_;
  end_ = offset_ + (request_.limit() == 0 ? left : std::min(left, request_.limit()));
  return OpenFile(absl::StrCat(folder_, "/", request_.file()), size);
}

absl::StatusOr<v1::ArtifactFile> DownloadStream::FindArtifact() {
  ASSIGN_OR_RETURN(const JobView view, engine_->GetJob(request_.name()));
  ASSIGN_OR_RETURN(const v1::Job job, ToJob(view.record));
  folder_ = engine_->ArtifactFolder(view.record);
  for (const v1::ArtifactFile& artifact : job.artifacts()) {
    if (artifact.file() == request_.file() && StaysInFolder(artifact.file())) return artifact;
  }
  return WithReason(
      absl::NotFoundError(job.artifacts().empty()
                              ? "the job has no artifacts: only a SUCCEEDED job has"
                              : "the job has no artifact of this name; GetJob lists them"),
      "ARTIFACT_NOT_FOUND");
}

absl::Status DownloadStream::OpenFile(const std::string& path, int64_t expected_size) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat status = {};
  const bool is_open = file_ >= 0 && fstat(file_, &status) == 0;
  const bool is_gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
  if (is_open ? !S_ISREG(status.st_mode) : is_gone) {
    return WithReason(absl::NotFoundError("the artifact's file is no longer there"),
                      "ARTIFACT_NOT_FOUND");
  }
  if (!is_open) return ErrnoStatus(errno, absl::StrCat("opening ", request_.file()));
  if (status.st_size != expected_size) return Changed("the artifact's file has another size");
  return absl::OkStatus();
}

}  // namespace stockpot
