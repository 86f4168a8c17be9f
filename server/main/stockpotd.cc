// stockpotd: the server. Reads its flags, puts the libraries together (assembly.h), waits for a
// signal, takes them apart.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/control/store/sqlite/check_store.h"
#include "server/main/assembly.h"
#include "server/main/stockpotd_flags.h"

namespace stockpot {
namespace {

extern "C" void ExitAtOnce(int signal) { _exit(128 + signal); }

// Waits for SIGTERM or SIGINT; a second one then ends the process at once. Workers see their
// connection end and exit.
int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  struct sigaction at_once = {};
  at_once.sa_handler = ExitAtOnce;
  sigaction(SIGTERM, &at_once, nullptr);
  sigaction(SIGINT, &at_once, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  return signal;
}

// --check_store: what was found goes to standard output.
int CheckStore(const StockpotdFlags& flags) {
  const absl::StatusOr<StoreCheck> check =
      CheckSqliteStore(flags.data_folder, flags.artifact_folder());
  if (!check.ok()) {
    std::cerr << "--data_folder=" << flags.data_folder << ": " << check.status().message() << "\n";
    return kExitFailed;
  }
  std::cout << "schema " << check->schema_version << ", " << check->jobs << " jobs, "
            << check->events << " events, " << check->facts << " facts\n";
  for (const std::string& problem : check->problems) std::cout << "problem: " << problem << "\n";
  std::cout << (check->problems.empty() ? "sound" : "damaged") << std::endl;
  return check->problems.empty() ? kExitStopped : kExitDamaged;
}

int Main(int argc, char** argv) {
  StockpotdFlags flags;
  if (const std::optional<int> exit_code = ParseStockpotdFlags(argc, argv, &flags)) {
    return *exit_code;
  }
  const std::unique_ptr<Log> log = Log::ToStandardError("stockpotd", flags.verbose);
  const absl::Status checked = CheckStockpotdFlags(flags);
  if (!checked.ok()) {
    log->Error("bad_flags", {{"error", std::string(checked.message())}});
    return kExitBadFlags;
  }
  if (flags.check_config) return kExitStopped;
  if (flags.check_store) return CheckStore(flags);

  umask(077);
  signal(SIGPIPE, SIG_IGN);
  // Blocked before any thread starts, so that only WaitForSignal() gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  absl::StatusOr<std::unique_ptr<Server>> server = Assemble(flags);
  const absl::Status started = server.ok() ? Announce(flags, server->get()) : server.status();
  if (!started.ok()) {
    log->Error("cannot_start", {{"error", std::string(started.message())}});
    return kExitFailed;
  }
  const int signal = WaitForSignal(signals);
  log->Info("stopping", {{"signal", absl::StrCat(signal)}});
  Stop(flags, server->get());
  server->reset();
  log->Info("stopped");
  return kExitStopped;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) { return stockpot::Main(argc, argv); }
