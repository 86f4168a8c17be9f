#include "client/cli/commands/new_job.h"

#include <openssl/rand.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/cli/job_file.h"
#include "client/cli/settings.h"

namespace stockpot::cli {
namespace {

// RFC 4122, version 4.
absl::StatusOr<std::string> RandomUuid() {
  unsigned char b[16];
  if (RAND_bytes(b, sizeof(b)) != 1) return absl::InternalError("no random numbers to be had");
  b[6] = static_cast<unsigned char>((b[6] & 0x0F) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3F) | 0x80);
  return absl::StrFormat("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                         b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                         b[12], b[13], b[14], b[15]);
}

}  // namespace

void AddNewJobFlags(CLI::App& command, NewJobFlags& flags) {
  command
      .add_option(
          "-f,--file", flags.file,
          "The job as YAML or JSON: a JobSpec, or a Job when it has `spec`, with the field "
          "names of the proto (stockpot init writes an example). Relative paths are taken from the "
          "file's folder. Flags override the file")
      ->type_name("FILE");
  command
      .add_option("--set", flags.settings,
                  "A field of the job over file and flags, such as "
                  "--set limits.max_evaluations=40 or "
                  "--set 'ingredients[0]={uri: a.safetensors, group: first}'; the value is YAML. "
                  "May be given more than once")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  AddJobFlags(command, flags.job);
}

absl::StatusOr<v1::CreateJobRequest> BuildRequest(const NewJobFlags& flags) {
  v1::CreateJobRequest request;
  if (!flags.file.empty()) {
    absl::StatusOr<v1::Job> job = ReadJobFile(flags.file);
    if (!job.ok()) return job.status();
    *request.mutable_job() = *std::move(job);
  }
  absl::Status status = ApplyJobFlags(flags.job, *request.mutable_job());
  if (status.ok()) status = ApplySettings(flags.settings, *request.mutable_job());
  if (!status.ok()) return status;
  absl::StatusOr<std::string> uuid = RandomUuid();
  if (!uuid.ok()) return uuid.status();
  request.set_request_id(*std::move(uuid));
  return request;
}

}  // namespace stockpot::cli
