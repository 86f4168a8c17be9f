#include "server/worker/session/artifact_publisher.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/storage/remote_output.h"

namespace stockpot {
namespace {

// As control/job/manifest.h has them.
constexpr char kManifestName[] = "manifest.json";
constexpr size_t kMostManifestBytes = size_t{64} << 20;

bool IsOf(const std::string& job, const std::string& manifest) {
  const absl::StatusOr<Json> json = ParseJson(manifest);
  return json.ok() && json->is_object() && json->contains("job") && json->at("job") == job;
}

// What an earlier attempt of this job said to be whole is not any more.
absl::Status TakeManifestAway(const RemoteOutput& output, const std::string& job, bool is_trial,
                              const KeepGoing& keep_going) {
  ASSIGN_OR_RETURN(const std::optional<std::string> manifest,
                   output.Read(kManifestName, kMostManifestBytes, keep_going));
  if (!manifest.has_value()) return absl::OkStatus();
  if (job.empty() || !IsOf(job, *manifest)) {
    return WithReason(absl::AlreadyExistsError("it holds the artifacts of another job"),
                      "OUTPUT_EXISTS");
  }
  return is_trial ? absl::OkStatus() : output.Remove(kManifestName, keep_going);
}

}  // namespace

absl::StatusOr<worker::v1::ArtifactsPublished> PublishArtifacts(
    const worker::v1::PublishArtifacts& task, const AllowList& allow_list,
    RemoteFiles* remote_files, const Progress& progress) {
  ASSIGN_OR_RETURN(const std::string uri, allow_list.CheckOutput(task.output_uri()));
  if (remote_files == nullptr) {
    return absl::FailedPreconditionError("this worker was started without any remote URI");
  }
  ASSIGN_OR_RETURN(const RemoteOutput output, RemoteOutput::Open(uri, remote_files));
  int64_t before = 0, done_of_file = 0;  // bytes
  const auto tell = [&] { return progress((before + done_of_file) >> 20, 0); };
  RETURN_IF_ERROR(TakeManifestAway(output, task.job(), task.files().empty(), tell));
  worker::v1::ArtifactsPublished published;
  if (task.files().empty()) {
    RETURN_IF_ERROR(output.TryWriting(tell));
    return published;
  }
  for (const std::string& file : task.files()) {
    int64_t size = 0;
    const absl::Status written = output.Write(file, absl::StrCat(task.folder(), "/", file),
                                              [&](int64_t done, int64_t total) {
                                                done_of_file = done;
                                                size = total;
                                                return tell();
                                              });
    RETURN_IF_ERROR(Annotate(written, file));
    before += size;
    done_of_file = 0;
    published.set_byte_count(published.byte_count() + size / 2);  // each was read back, too
  }
  return published;
}

}  // namespace stockpot
