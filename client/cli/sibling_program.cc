#include "client/cli/sibling_program.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/cli/interruption.h"

namespace stockpot::cli {

absl::StatusOr<std::string> SiblingPath(const std::string& name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("cannot tell where this program lies");
  std::string path = (self.parent_path() / name).string();
  if (std::filesystem::exists(path, error)) return path;
  return absl::NotFoundError(absl::StrCat(name, " is not installed beside stockpot: no ", path));
}

absl::StatusOr<int> BecomeSibling(const std::vector<std::string>& arguments) {
  const absl::StatusOr<std::string> path = SiblingPath(arguments[0]);
  if (!path.ok()) return path.status();
  return BecomeProgram(*path, arguments);
}

absl::StatusOr<int> BecomeProgram(const std::string& program,
                                  const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  // execvp() takes pointers to char that it does not write to.
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // What is blocked stays blocked in the new program.
  const sigset_t signals = InterruptingSignals();
  sigset_t before;
  pthread_sigmask(SIG_UNBLOCK, &signals, &before);
  execvp(program.c_str(), argv.data());
  const int reason = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::string problem =
      absl::StrCat("cannot start ", program, ": ", std::generic_category().message(reason));
  return reason == ENOENT ? absl::NotFoundError(problem) : absl::InternalError(problem);
}

}  // namespace stockpot::cli
