#include "server/control/supervisor/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// posix_spawn's two argument objects, freed at the end of the scope.
struct SpawnSetup {
  SpawnSetup() {
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
};

std::string Describe(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return absl::StrCat("exit code ", info.si_status);
  return absl::StrCat("signal ", info.si_status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  SpawnSetup setup;
  // The server blocks and ignores signals that its workers must get.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  posix_spawnattr_setflags(&setup.attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // Libraries open descriptors without O_CLOEXEC: a worker gets none of them.
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, STDERR_FILENO + 1);

  pid_t process_id = 0;
  const int error =
      posix_spawn(&process_id, argv[0], &setup.actions, &setup.attributes, argv.data(), environ);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("cannot start ", arguments[0]));
  return std::unique_ptr<ChildProcess>(new ChildProcess(process_id));
}

ChildProcess::~ChildProcess() {
  Signal(SIGKILL);
  Wait();
}

std::string ChildProcess::Wait() {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return "";
  }
  // Without reaping: until then the process id, and the group's, stay this child's.
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(process_id_), &info, WEXITED | WNOWAIT) != 0) {
    if (errno != EINTR) break;
  }
  absl::MutexLock lock(&mutex_);
  if (ended_) return "";
  ended_ = true;
  kill(-process_id_, SIGKILL);
  while (waitpid(process_id_, nullptr, 0) < 0 && errno == EINTR) {
  }
  return Describe(info);
}

void ChildProcess::Signal(int signal) {
  absl::MutexLock lock(&mutex_);
  if (!ended_) kill(-process_id_, signal);
}

}  // namespace stockpot
