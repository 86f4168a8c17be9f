// Shared by submit and run: a job as flags, a file, single fields, or all of these.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_COMMANDS_NEW_JOB_H_
#define STOCKPOT_CLIENT_CLI_COMMANDS_NEW_JOB_H_

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/job_flags.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot::cli {

struct NewJobFlags {
  JobFlags job;
  std::string file;
  std::vector<std::string> settings;  // PATH=VALUE, over both
};

// Declares the flags on `command`; `flags` must outlive the parsing.
void AddNewJobFlags(CLI::App& command, NewJobFlags& flags);

// The request, with a random id: sending it again makes no second job. Errors: INVALID_ARGUMENT,
// NOT_FOUND, as job_file.h, job_flags.h and settings.h say.
absl::StatusOr<v1::CreateJobRequest> BuildRequest(const NewJobFlags& flags);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMMANDS_NEW_JOB_H_
