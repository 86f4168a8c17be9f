#include "client/cli/download.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/part_file.h"
#include "client/cli/paths.h"
#include "client/cli/reconnection.h"

namespace stockpot::cli {
namespace {

// A damaged chunk is asked for again: the network may have done it once, not three times.
constexpr int kMaxDamaged = 3;

class FileDownload {
 public:
  FileDownload(Connection& connection, Environment& environment, std::string job,
               v1::ArtifactFile file, std::string path, absl::Duration reconnect_timeout)
      : connection_(connection),
        environment_(environment),
        job_(std::move(job)),
        file_(std::move(file)),
        path_(std::move(path)),
        reconnection_(environment, reconnect_timeout) {}

  absl::Status Run() {
    if (HasContent(path_, file_.size_bytes(), file_.sha256())) return absl::OkStatus();
    absl::Status status = Attempt();
    // What an earlier download left may belong to another soup: once more from the beginning.
    if (absl::IsDataLoss(status) && resumed_) status = Attempt();
    return status;
  }

 private:
  absl::Status Attempt() {
    absl::StatusOr<std::unique_ptr<PartFile>> part = PartFile::Open(path_, file_.size_bytes());
    if (!part.ok()) return part.status();
    part_ = std::move(*part);
    resumed_ = part_->size() > 0;
    absl::Status status = FetchRest();
    if (status.ok()) status = part_->Commit(file_.sha256());
    part_.reset();
    return status;
  }

  absl::Status FetchRest() {
    int damaged = 0;
    while (part_->size() < file_.size_bytes()) {
      const absl::Status status = ReadStream();
      if (environment_.interruption.triggered()) return absl::CancelledError("interrupted");
      if (absl::IsDataLoss(status) && ++damaged < kMaxDamaged) continue;
      if (!status.ok() && !reconnection_.ShouldRetry(status))
        return connection_.WithAddress(status);
    }
    return absl::OkStatus();
  }

  absl::Status ReadStream() {
    v1::DownloadArtifactRequest request;
    request.set_name(job_);
    request.set_file(file_.file());
    request.set_offset(part_->size());
    request.set_expected_sha256(file_.sha256());
    grpc::ClientContext context;
    connection_.Introduce(context);
    const Interruption::CallScope scope(environment_.interruption, context);
    const auto reader = connection_.stub().DownloadArtifact(&context, request);
    absl::Status refused;
    v1::ArtifactChunk chunk;
    while (refused.ok() && reader->Read(&chunk)) {
      refused = Accept(chunk);
      if (refused.ok()) reconnection_.Succeeded();
    }
    if (!refused.ok()) context.TryCancel();
    const absl::Status ended = FromGrpc(reader->Finish());
    if (!refused.ok()) return refused;
    if (ended.ok() && part_->size() < file_.size_bytes()) {
      return absl::UnavailableError("the stream ended before the file");
    }
    return ended;
  }

  absl::Status Accept(const v1::ArtifactChunk& chunk) {
    if (chunk.data().empty()) return absl::OkStatus();
    if (Crc32c(chunk.data()) != chunk.crc32c()) {
      return absl::DataLossError(absl::StrCat(file_.file(), ": the chunk at byte ", part_->size(),
                                              " came damaged: its CRC-32C differs"));
    }
    const auto size = static_cast<int64_t>(chunk.data().size());
    if (chunk.offset() != part_->size() || size > file_.size_bytes() - part_->size()) {
      return absl::DataLossError(absl::StrCat(file_.file(), ": the server sent ", size,
                                              " bytes for byte ", chunk.offset(), " instead of ",
                                              part_->size()));
    }
    return part_->Append(chunk.data());
  }

  Connection& connection_;
  Environment& environment_;
  const std::string job_;
  const v1::ArtifactFile file_;
  const std::string path_;
  Reconnection reconnection_;
  std::unique_ptr<PartFile> part_;
  bool resumed_ = false;
};

// The artifacts that are asked for, in the job's order.
absl::StatusOr<std::vector<v1::ArtifactFile>> Choose(const v1::Job& job,
                                                     const std::vector<std::string>& wanted) {
  if (job.artifacts().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(job.name(), " has no files: it is ",
                                                      v1::Job::State_Name(job.state()),
                                                      ", and only a job that SUCCEEDED has"));
  }
  std::vector<v1::ArtifactFile> chosen;
  for (const v1::ArtifactFile& file : job.artifacts()) {
    if (!IsSafeRelativePath(file.file())) {
      return absl::DataLossError(
          absl::StrCat("the server names a file outside the folder: '", file.file(), "'"));
    }
    if (wanted.empty() || std::count(wanted.begin(), wanted.end(), file.file()) > 0) {
      chosen.push_back(file);
    }
  }
  for (const std::string& name : wanted) {
    const bool found = std::any_of(chosen.begin(), chosen.end(),
                                   [&](const auto& file) { return file.file() == name; });
    if (!found) return absl::NotFoundError(absl::StrCat(job.name(), " has no file '", name, "'"));
  }
  return chosen;
}

}  // namespace

absl::Status Download(Connection& connection, Environment& environment, const v1::Job& job,
                      const DownloadOptions& options) {
  const auto files = Choose(job, options.files);
  if (!files.ok()) return files.status();
  for (const v1::ArtifactFile& file : *files) {
    const std::string path = AbsolutePath(file.file(), AbsolutePath(options.folder));
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    if (error) {
      return absl::FailedPreconditionError(
          absl::StrCat(options.folder, ": cannot be made: ", error.message()));
    }
    const absl::Status status =
        FileDownload(connection, environment, job.name(), file, path, options.reconnect_timeout)
            .Run();
    if (!status.ok()) return status;
    if (options.on_file) options.on_file(file, path);
  }
  return absl::OkStatus();
}

}  // namespace stockpot::cli
