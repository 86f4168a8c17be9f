// stockpot submit: makes a job of flags, a file, or both, and follows it when asked.
#include <openssl/rand.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/follow.h"
#include "client/cli/job_file.h"
#include "client/cli/job_flags.h"
#include "client/cli/json_lines.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

struct SubmitFlags {
  JobFlags job;
  std::string file;
  std::string job_id;
  std::string request_id;
  bool validate_only = false;
  bool watch = false;
  std::string out;
};

// A random UUID (RFC 4122, version 4): sending the same request again makes no second job.
absl::StatusOr<std::string> RandomUuid() {
  unsigned char b[16];
  if (RAND_bytes(b, sizeof(b)) != 1) return absl::InternalError("no random numbers to be had");
  b[6] = static_cast<unsigned char>((b[6] & 0x0F) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3F) | 0x80);
  return absl::StrFormat("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                         b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                         b[12], b[13], b[14], b[15]);
}

absl::StatusOr<v1::CreateJobRequest> BuildRequest(const SubmitFlags& flags) {
  v1::CreateJobRequest request;
  if (!flags.file.empty()) {
    absl::StatusOr<v1::Job> job = ReadJobFile(flags.file);
    if (!job.ok()) return job.status();
    *request.mutable_job() = std::move(*job);
  }
  absl::Status status = ApplyJobFlags(flags.job, *request.mutable_job());
  if (!status.ok()) return status;
  request.set_job_id(JobId(flags.job_id));
  request.set_request_id(flags.request_id);
  if (flags.request_id.empty()) {
    absl::StatusOr<std::string> uuid = RandomUuid();
    if (!uuid.ok()) return uuid.status();
    request.set_request_id(*uuid);
  }
  request.set_validate_only(flags.validate_only);
  return request;
}

void PrintCreated(CommandContext& context, const v1::Job& job, const SubmitFlags& flags) {
  std::ostream& out = context.environment.out;
  if (context.flags.json) {
    out << ToJson("job", job) << std::endl;
  } else if (flags.validate_only) {
    if (!context.flags.quiet) out << "valid: nothing was submitted" << std::endl;
  } else {
    out << job.name() << std::endl;
    if (!context.flags.quiet && !flags.watch) {
      out << "watch it with: stockpot watch " << JobId(job.name()) << std::endl;
    }
  }
}

absl::StatusOr<int> Submit(const SubmitFlags& flags, CommandContext& context) {
  const absl::StatusOr<v1::CreateJobRequest> request = BuildRequest(flags);
  if (!request.ok()) return request.status();
  const absl::StatusOr<v1::Job> job =
      context.connection.Call(&v1::SoupService::StubInterface::CreateJob, *request);
  if (!job.ok()) return job.status();
  PrintCreated(context, *job, flags);
  if (flags.validate_only || !flags.watch) return kExitSuccess;
  return FollowJob(context, *job, 0, flags.out);
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("submit", "Submit a job, as flags or as a file");
  const auto flags = std::make_shared<SubmitFlags>();
  command
      ->add_option(
          "-f,--file", flags->file,
          "The job as YAML or JSON: a JobSpec, or a Job when it has `spec`, with the field "
          "names of the proto. Relative paths are taken from the file's folder. Flags "
          "override the file")
      ->type_name("FILE");
  AddJobFlags(*command, flags->job);
  command->add_option("--job-id", flags->job_id, "The job's name: [a-z0-9-]{1,63}");
  command->add_option("--request-id", flags->request_id,
                      "The same request id makes no second job (default: a random UUID)");
  command->add_flag("--validate-only", flags->validate_only, "Check the job without submitting it");
  command->add_flag("-w,--watch", flags->watch, "Follow the job to its end");
  command
      ->add_option("-o,--out", flags->out, "Download the finished job's files there; watches too")
      ->type_name("DIR");
  command->callback([flags, &chosen] {
    flags->watch = flags->watch || !flags->out.empty();
    chosen = [flags](CommandContext& context) { return Submit(*flags, context); };
  });
}

}  // namespace stockpot::cli
