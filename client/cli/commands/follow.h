// Shared by submit, watch, run and download: follow a job to its end, bring its files, say how it
// went. Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_
#define STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/commands/command.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

struct FollowOptions {
  int64_t after_sequence = 0;  // shows what came after this event
  std::string folder;          // downloads the files of a job that succeeded; "": none
  bool server_stays = true;    // and so does the job, at Ctrl-C and at its end: says what to do
};

// Shows `job` to its end, and brings its files. The exit code says how the job ended.
absl::StatusOr<int> FollowJob(CommandContext& context, const v1::Job& job,
                              const FollowOptions& options);

// Downloads and names each file.
absl::Status DownloadFiles(CommandContext& context, const v1::Job& job, const std::string& folder,
                           const std::vector<std::string>& files);

// 0, 1 or 3 for an ended job; prints a failed one's error.
int ReportOutcome(CommandContext& context, const v1::Job& job);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMMANDS_FOLLOW_H_
