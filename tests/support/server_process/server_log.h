// What a stockpotd with --verbose logged: an account of its work that is not its store's.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_LOG_H_
#define STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_LOG_H_

#include <map>
#include <string>
#include <vector>

namespace stockpot {

struct LogLine {
  std::string event;
  std::map<std::string, std::string> fields;  // values without quotes
};

// Lines of stockpotd and stockpot-worker, in order; others, such as gRPC's, are left out.
std::vector<LogLine> ReadServerLog(const std::string& path);

// The keys of tasks that were given to a worker, in order.
std::vector<std::string> KeysOfTasksGiven(const std::vector<LogLine>& log);

// Of those, what no result was stored of.
std::vector<std::string> KeysOfTasksCutShort(const std::vector<LogLine>& log);

// One for each task that was given although it had ended well before, whichever process saw that.
std::vector<std::string> TasksGivenAfterTheirEnd(const std::vector<LogLine>& log);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_SERVER_PROCESS_SERVER_LOG_H_
