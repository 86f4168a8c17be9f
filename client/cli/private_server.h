// A stockpotd of this process's own, with its workers: only this user can reach it, and it does not
// outlive this process.
//
//   auto server = PrivateServer::Start({.spec = spec}, environment);
//   … connect to (*server)->address() …
//
// It listens on a socket in a folder that only this user can enter, so it may read all that this
// user may; architectures, which are programs, only those that the job names. It ignores Ctrl-C,
// which a terminal sends to this process. Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_PRIVATE_SERVER_H_
#define STOCKPOT_CLIENT_CLI_PRIVATE_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/environment.h"
#include "stockpot/v1/spec.pb.h"

namespace stockpot::cli {

class PrivateServer {
 public:
  struct Options {
    v1::JobSpec spec;                // the job that it is for
    std::string data_folder;         // kept at the end; "": a temporary one, removed at the end
    std::string log_file;            // kept at the end; "": a temporary one
    std::vector<std::string> flags;  // more of stockpotd's
  };
  // Waits until it serves. Errors: UNAVAILABLE with the last lines of its log when it does not
  // start, CANCELLED at Ctrl-C, NOT_FOUND where stockpotd is not installed beside this program.
  static absl::StatusOr<std::unique_ptr<PrivateServer>> Start(const Options& options,
                                                              Environment& environment);
  // Stops it, waits for it, and removes the temporary folder.
  ~PrivateServer();
  PrivateServer(const PrivateServer&) = delete;
  PrivateServer& operator=(const PrivateServer&) = delete;

  std::string address() const { return "unix:" + folder_ + "/socket"; }

 private:
  explicit PrivateServer(std::string folder) : folder_(std::move(folder)) {}
  absl::Status WaitUntilItServes(const std::string& log, Environment& environment);
  bool HasEnded();

  const std::string folder_;
  pid_t process_id_ = -1;
};

// The flags of stockpotd with which it may read and write what the job names.
std::vector<std::string> RightsFor(const v1::JobSpec& spec);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PRIVATE_SERVER_H_
