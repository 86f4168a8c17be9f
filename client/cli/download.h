// Brings a finished job's files: each chunk's CRC-32C and the whole file's SHA-256 are verified, an
// interrupted download goes on where it stopped, and a file has its name only once it is whole.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_DOWNLOAD_H_
#define STOCKPOT_CLIENT_CLI_DOWNLOAD_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/connection.h"
#include "client/cli/environment.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

struct DownloadOptions {
  std::string folder;              // made when missing
  std::vector<std::string> files;  // names of artifacts; empty: all
  absl::Duration reconnect_timeout = absl::Minutes(5);
  // Told of each file that lies in the folder, with its path there.
  std::function<void(const v1::ArtifactFile& file, const std::string& path)> on_file;
};

// A file that is already there with the right sum is not fetched again; another of its name is
// replaced. Errors: the server's; FAILED_PRECONDITION when the job has no artifacts; NOT_FOUND for
// a file it does not have; DATA_LOSS when bytes come damaged again and again; the system's on
// writing.
absl::Status Download(Connection& connection, Environment& environment, const v1::Job& job,
                      const DownloadOptions& options);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_DOWNLOAD_H_
