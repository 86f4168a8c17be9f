// Shared by submit, watch and download: follow a job to its end, bring its files, say how it went.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_
#define STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/commands/command.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

// Shows `job` to its end and, when `folder` is not empty and it succeeded, downloads its files
// there. The exit code says how the job ended. At Ctrl-C the job goes on; a note says how to cancel
// it.
absl::StatusOr<int> FollowJob(CommandContext& context, const v1::Job& job, int64_t after_sequence,
                              const std::string& folder);

// Downloads and names each file.
absl::Status DownloadFiles(CommandContext& context, const v1::Job& job, const std::string& folder,
                           const std::vector<std::string>& files);

// 0, 1 or 3 for an ended job; prints a failed one's error.
int ReportOutcome(CommandContext& context, const v1::Job& job);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_
