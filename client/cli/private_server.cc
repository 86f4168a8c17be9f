#include "client/cli/private_server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/places.h"
#include "client/cli/read_file.h"
#include "client/cli/sibling_program.h"

namespace stockpot::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartTime = absl::Minutes(1);
constexpr absl::Duration kStopTime = absl::Seconds(20);
constexpr absl::Duration kLook = absl::Milliseconds(20);
constexpr size_t kLogTail = 2000;  // bytes
constexpr uintmax_t kMaxLogMebibytes = 64;

bool IsRemote(const std::string& place) {
  return absl::StrContains(place, "://") && !absl::StartsWith(place, "file://");
}

// The folder of a URI, or of the first wildcard in it.
std::string FolderOf(const std::string& uri) {
  const size_t scheme = uri.find("://") + 3;
  const size_t slash = uri.rfind('/', uri.find_first_of("*?[{", scheme));
  return slash < scheme ? uri : uri.substr(0, slash + 1);
}

// Only what is safe between fork and exec.
[[noreturn]] void BecomeServer(char* const* argv, int log, pid_t parent) {
  setpgid(0, 0);  // out of the reach of the terminal's Ctrl-C
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);  // it died before that
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  // execv() takes pointers to char that it does not write to.
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int log_file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t parent = getpid();
  const pid_t child = log_file < 0 ? -1 : fork();
  if (child == 0) BecomeServer(argv.data(), log_file, parent);
  const int reason = errno;
  if (log_file >= 0) close(log_file);
  if (child > 0) return child;
  return absl::InternalError(
      absl::StrCat(log_file < 0 ? "cannot write " + log : "cannot start a server", ": ",
                   std::generic_category().message(reason)));
}

std::string LastWords(const std::string& log) {
  const absl::StatusOr<std::string> text = ReadFile(log, kMaxLogMebibytes);
  if (!text.ok()) return "";
  return text->size() > kLogTail ? text->substr(text->size() - kLogTail) : *text;
}

}  // namespace

std::vector<std::string> RightsFor(const v1::JobSpec& spec) {
  std::vector<std::string> flags = {"--allowed_root=/", "--allowed_output_root=/"};
  const std::string& architecture = spec.model().architecture_uri();
  if (!architecture.empty()) {
    flags.push_back(
        absl::StrCat("--allowed_architecture_prefix=", absl::StripPrefix(architecture, "file://")));
    flags.push_back(absl::StrCat("--allowed_compiled_architecture_prefix=",
                                 absl::StripPrefix(architecture, "file://")));
  }
  v1::JobSpec inputs = spec;
  inputs.clear_output();
  std::set<std::string> folders;
  ForEachPlace(inputs, [&](const std::string& place) {
    if (IsRemote(place)) folders.insert(FolderOf(place));
    return place;
  });
  for (const std::string& folder : folders) {
    flags.push_back(absl::StrCat("--allowed_uri_prefix=", folder));
  }
  if (IsRemote(spec.output().output_uri())) {
    flags.push_back(absl::StrCat("--allowed_output_uri_prefix=", spec.output().output_uri()));
  }
  return flags;
}

absl::StatusOr<std::unique_ptr<PrivateServer>> PrivateServer::Start(const Options& options,
                                                                    Environment& environment) {
  absl::StatusOr<std::string> program = SiblingPath("stockpotd");
  if (!program.ok()) return program.status();
  std::error_code error;
  const fs::path above = fs::temp_directory_path(error);
  std::string folder = ((error ? "/tmp" : above) / "stockpot-run-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot make a temporary folder in ", above.string(),
                                            ": set TMPDIR to one that can be written"));
  }
  std::unique_ptr<PrivateServer> server(new PrivateServer(folder));
  std::vector<std::string> arguments = {
      *std::move(program),
      absl::StrCat("--listen=", server->address()),
      absl::StrCat("--port_file=", folder, "/ready"),
      absl::StrCat("--data_folder=",
                   options.data_folder.empty() ? folder + "/data" : options.data_folder),
      "--metrics_listen=off",
      "--drain_timeout=0s"};
  for (std::string& flag : RightsFor(options.spec)) arguments.push_back(std::move(flag));
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  const std::string log = options.log_file.empty() ? folder + "/log" : options.log_file;
  absl::StatusOr<pid_t> process_id = Spawn(arguments, log);
  if (!process_id.ok()) return process_id.status();
  server->process_id_ = *process_id;
  absl::Status status = server->WaitUntilItServes(log, environment);
  if (!status.ok()) return status;
  return server;
}

absl::Status PrivateServer::WaitUntilItServes(const std::string& log, Environment& environment) {
  std::error_code ignored;
  const absl::Time deadline = environment.now() + kStartTime;
  while (!fs::exists(folder_ + "/ready", ignored)) {
    if (HasEnded() || environment.now() > deadline) {
      return absl::UnavailableError(
          absl::StrCat("the private server does not start:\n", LastWords(log)));
    }
    if (!environment.wait(kLook)) return absl::CancelledError("interrupted");
  }
  return absl::OkStatus();
}

bool PrivateServer::HasEnded() {
  if (process_id_ > 0 && waitpid(process_id_, nullptr, WNOHANG) == process_id_) process_id_ = -1;
  return process_id_ <= 0;
}

PrivateServer::~PrivateServer() {
  if (!HasEnded()) kill(process_id_, SIGTERM);
  const absl::Time deadline = absl::Now() + kStopTime;
  while (!HasEnded()) {
    if (absl::Now() > deadline) kill(-process_id_, SIGKILL);
    absl::SleepFor(kLook);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace stockpot::cli
