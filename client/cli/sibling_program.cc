#include "client/cli/sibling_program.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace stockpot::cli {

absl::StatusOr<int> BecomeSibling(const std::vector<std::string>& arguments) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("cannot tell where this program lies");
  const std::string path = (self.parent_path() / arguments[0]).string();
  std::vector<char*> argv;
  // execv() takes pointers to char that it does not write to.
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // What is blocked stays blocked in the new program.
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &signals, &before);
  execv(path.c_str(), argv.data());
  const int reason = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (reason == ENOENT) {
    return absl::NotFoundError(
        absl::StrCat(arguments[0], " is not installed beside stockpot: no ", path));
  }
  return absl::InternalError(
      absl::StrCat("cannot start ", path, ": ", std::generic_category().message(reason)));
}

}  // namespace stockpot::cli
