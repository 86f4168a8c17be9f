#include "tests/support/server_process/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "google/rpc/error_details.pb.h"

extern char** environ;

namespace stockpot {
namespace {

[[noreturn]] void Fatal(const std::string& message) {
  std::cerr << "server_process: " << message << std::endl;
  std::abort();
}

// Standard output and error go to `output_fd`, or where ours go when it is -1.
pid_t Spawn(const std::vector<std::string>& arguments, int output_fd) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (output_fd >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, output_fd, 2);
  }
  pid_t process_id = -1;
  const int error = posix_spawn(&process_id, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) Fatal("cannot start " + arguments[0]);
  return process_id;
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// ThreadSanitizer keeps one as a child, which says where in the code a report comes from.
bool IsSymbolizer(pid_t process) {
  return FirstLine("/proc/" + std::to_string(process) + "/comm").starts_with("llvm-symbolizer");
}

}  // namespace

BackgroundProgram::BackgroundProgram(const std::vector<std::string>& arguments,
                                     const std::string& log_file) {
  const int log = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) Fatal("cannot write " + log_file);
  process_id_ = Spawn(arguments, log);
  close(log);
}

BackgroundProgram::~BackgroundProgram() {
  Signal(SIGKILL);
  Wait();
}

void BackgroundProgram::Signal(int signal) const {
  if (process_id_ > 0) kill(process_id_, signal);
}

int BackgroundProgram::Wait() {
  if (process_id_ <= 0) return -1;
  int status = 0;
  waitpid(process_id_, &status, 0);
  process_id_ = -1;
  return ExitCode(status);
}

std::string ProgramPath(const std::string& name) { return STOCKPOT_PROGRAMS "/" + name; }

ProgramResult RunProgram(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Fatal("no pipe");
  const pid_t process_id = Spawn(arguments, ends[1]);
  close(ends[1]);
  ProgramResult result;
  char buffer[4096];
  ssize_t count;
  while ((count = read(ends[0], buffer, sizeof(buffer))) > 0) {
    result.output.append(buffer, static_cast<size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  waitpid(process_id, &status, 0);
  result.exit_code = ExitCode(status);
  return result;
}

ServerProcess::ServerProcess(Options options) {
  const std::string port_file = folder_ / "port";
  std::vector<std::string> arguments = {
      ProgramPath("stockpotd"),
      "--listen=127.0.0.1:0",
      "--port_file=" + port_file,
      "--metrics_listen=" + options.metrics_listen,
      "--data_folder=" + (options.data_folder.empty() ? folder_ / "data" : options.data_folder),
      "--workers=" + std::to_string(options.workers),
      "--threads_per_worker=" + std::to_string(options.threads_per_worker)};
  for (const std::string& root : options.allowed_roots) {
    arguments.push_back("--allowed_root=" + root);
  }
  for (const std::string& prefix : options.allowed_architecture_prefixes) {
    arguments.push_back("--allowed_architecture_prefix=" + prefix);
  }
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  int log = -1;
  if (!options.log_file.empty()) {
    arguments.push_back("--verbose");
    log = open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) Fatal("cannot write " + options.log_file);
  }
  process_id_ = Spawn(arguments, log);
  if (log >= 0) close(log);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((address_ = FirstLine(port_file)).empty()) {
    if (waitpid(process_id_, nullptr, WNOHANG) == process_id_) Fatal("stockpotd ended at start");
    if (std::chrono::steady_clock::now() > deadline) Fatal("stockpotd does not start");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  channel_ = grpc::CreateChannel(address_, options.credentials != nullptr
                                               ? options.credentials
                                               : grpc::InsecureChannelCredentials());
  stub_ = v1::SoupService::NewStub(channel_);
}

ServerProcess::~ServerProcess() { Terminate(); }

void ServerProcess::Kill() {
  if (process_id_ <= 0) return;
  kill(process_id_, SIGKILL);
  waitpid(process_id_, nullptr, 0);
  process_id_ = -1;
}

int ServerProcess::Terminate() {
  if (process_id_ <= 0) return 0;
  kill(process_id_, SIGTERM);
  int status = 0;
  waitpid(process_id_, &status, 0);
  process_id_ = -1;
  return ExitCode(status);
}

std::vector<pid_t> ServerProcess::WorkerProcessIds() const {
  std::vector<pid_t> children;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process_id_) + "/task")) {
    std::ifstream list(task.path() / "children");
    pid_t child;
    while (list >> child) {
      if (!IsSymbolizer(child)) children.push_back(child);
    }
  }
  return children;
}

v1::Job ServerProcess::Run(const v1::JobSpec& spec) {
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  v1::Job job;
  const grpc::Status created = stub_->CreateJob(&context, request, &job);
  if (!created.ok()) {
    job.set_state(v1::Job::FAILED);
    *job.mutable_error() = StatusOf(created);
    return job;
  }
  return Follow(job.name());
}

v1::Job ServerProcess::Follow(const std::string& name, std::vector<v1::JobEvent>* events) {
  {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(name);
    if (events != nullptr && !events->empty()) {
      request.set_after_sequence(events->back().sequence());
    }
    auto reader = stub_->WatchJob(&context, request);
    v1::JobEvent event;
    while (reader->Read(&event)) {
      if (events != nullptr && event.sequence() > 0) events->push_back(event);
    }
    reader->Finish();
  }
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name(name);
  v1::Job job;
  const grpc::Status status = stub_->GetJob(&context, request, &job);
  if (!status.ok()) *job.mutable_error() = StatusOf(status);
  return job;
}

google::rpc::Status StatusOf(const grpc::Status& status) {
  google::rpc::Status parsed;
  if (!parsed.ParseFromString(status.error_details()) || parsed.code() == 0) {
    parsed.set_code(status.error_code());
    parsed.set_message(status.error_message());
  }
  return parsed;
}

ErrorDetails DetailsOf(const google::rpc::Status& status) {
  ErrorDetails details;
  for (const google::protobuf::Any& any : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest request;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info)) {
      details.reason = info.reason();
      details.metadata.insert(info.metadata().begin(), info.metadata().end());
    } else if (any.UnpackTo(&request)) {
      for (const auto& violation : request.field_violations()) {
        details.fields.push_back(violation.field());
      }
    } else if (any.UnpackTo(&retry)) {
      details.retry_seconds = static_cast<double>(retry.retry_delay().seconds()) +
                              static_cast<double>(retry.retry_delay().nanos()) / 1e9;
    }
  }
  return details;
}

}  // namespace stockpot
