// A real stockpotd, with real workers, on a free port and in folders of its own.
//
//   ServerProcess server({.workers = 3});
//   auto job = server.Run(request);   // CreateJob, then watch to the end, then GetJob
//
// Failing to start ends the test program: nothing can be tested then.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_PROCESS_H_
#define STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_PROCESS_H_

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "stockpot/v1/soup_service.grpc.pb.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

// Runs a program to its end. `output` is standard output and standard error, as they came.
struct ProgramResult {
  int exit_code = -1;  // 128 + signal when killed
  std::string output;
};
ProgramResult RunProgram(const std::vector<std::string>& arguments);

// Where stockpotd, stockpot-worker and stockpot of this build are.
std::string ProgramPath(const std::string& name);

// A program that goes on until it is stopped, at the latest with SIGKILL at the end of this object.
// Its output is appended to `log_file`.
class BackgroundProgram {
 public:
  BackgroundProgram(const std::vector<std::string>& arguments, const std::string& log_file);
  ~BackgroundProgram();
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  pid_t process_id() const { return process_id_; }
  void Signal(int signal) const;
  // Its exit code, 128 + signal when killed; waits for its end.
  int Wait();

 private:
  pid_t process_id_ = -1;
};

class ServerProcess {
 public:
  struct Options {
    int workers = 1;
    int threads_per_worker = 0;
    // Below these, architectures and data may be read. Default: anywhere.
    std::vector<std::string> allowed_roots = {"/"};
    std::vector<std::string> allowed_architecture_prefixes = {"/"};
    // Kept by the caller to start a second server on the same data; "" is a folder of its own.
    std::string data_folder;
    std::string metrics_listen = "off";
    std::vector<std::string> flags = {};  // more of stockpotd's, after the others
    // Where its and its workers' log goes, with --verbose, after what is there; "": where ours
    // goes.
    std::string log_file = "";
    // How to reach it where `flags` ask for TLS or tokens; null: in plaintext.
    std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  };
  explicit ServerProcess(Options options);
  ~ServerProcess();  // SIGTERM, and waits
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& address() const { return address_; }
  v1::SoupService::Stub& stub() { return *stub_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }

  // kill -9, and waits. Workers die with it.
  void Kill();
  // SIGTERM, and waits: the exit code.
  int Terminate();
  std::vector<pid_t> WorkerProcessIds() const;
  pid_t process_id() const { return process_id_; }

  // The job, ended. A job that is refused is FAILED with the RPC's error.
  v1::Job Run(const v1::JobSpec& spec);
  // Follows a job to its end and gives it back; `events` gets all that is in the sequence.
  v1::Job Follow(const std::string& name, std::vector<v1::JobEvent>* events = nullptr);

 private:
  TemporaryFolder folder_;
  pid_t process_id_ = -1;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SoupService::Stub> stub_;
};

// The ErrorInfo reason and metadata of a status' details, "" when there is none.
struct ErrorDetails {
  std::string reason;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> fields;  // of BadRequest
  double retry_seconds = 0;         // of RetryInfo
};
ErrorDetails DetailsOf(const google::rpc::Status& status);
// From the details that came with a failed call.
google::rpc::Status StatusOf(const grpc::Status& status);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_PROCESS_H_
