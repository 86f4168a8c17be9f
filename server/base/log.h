// Structured log lines: one line per event, "event key=value …", to standard error.
// spdlog stays behind this header. Created in main/ and handed down; there is no global logger.
//
//   log.Info("task_done", {{"job", job}, {"task", key}});
//
// Values are quoted where they hold spaces, quotes or control characters. Never give a secret.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_BASE_LOG_H_
#define STOCKPOT_SERVER_BASE_LOG_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace stockpot {

class Log {
 public:
  using Field = std::pair<absl::string_view, std::string>;
  using Fields = std::initializer_list<Field>;

  // A log under this program's name ("stockpotd"), on standard error.
  static std::unique_ptr<Log> ToStandardError(absl::string_view program, bool verbose);
  // A log that drops everything, for tests.
  static std::unique_ptr<Log> Silent();

  virtual ~Log() = default;
  virtual void Debug(absl::string_view event, Fields fields = {}) = 0;
  virtual void Info(absl::string_view event, Fields fields = {}) = 0;
  virtual void Warning(absl::string_view event, Fields fields = {}) = 0;
  virtual void Error(absl::string_view event, Fields fields = {}) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_LOG_H_
