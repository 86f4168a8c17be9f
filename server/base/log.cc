#include "server/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace stockpot {
namespace {

bool NeedsQuotes(absl::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isspace(byte) || absl::ascii_iscntrl(byte) || c == '"' || c == '=') return true;
  }
  return false;
}

std::string Line(absl::string_view event, Log::Fields fields) {
  std::string line(event);
  for (const auto& [key, value] : fields) {
    if (NeedsQuotes(value)) {
      // Within double quotes a single quote needs no escape, and errors are full of them.
      absl::StrAppend(&line, " ", key, "=\"",
                      absl::StrReplaceAll(absl::Utf8SafeCEscape(value), {{"\\'", "'"}}), "\"");
    } else {
      absl::StrAppend(&line, " ", key, "=", value);
    }
  }
  return line;
}

class StandardErrorLog final : public Log {
 public:
  StandardErrorLog(absl::string_view program, bool verbose)
      : logger_(std::string(program), std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %n[%P] %v", spdlog::pattern_time_type::utc);
    logger_.set_level(verbose ? spdlog::level::debug : spdlog::level::info);
    logger_.flush_on(spdlog::level::debug);
  }

  void Debug(absl::string_view event, Fields fields) override {
    Write(spdlog::level::debug, event, fields);
  }
  void Info(absl::string_view event, Fields fields) override {
    Write(spdlog::level::info, event, fields);
  }
  void Warning(absl::string_view event, Fields fields) override {
    Write(spdlog::level::warn, event, fields);
  }
  void Error(absl::string_view event, Fields fields) override {
    Write(spdlog::level::err, event, fields);
  }

 private:
  void Write(spdlog::level::level_enum level, absl::string_view event, Fields fields) {
    if (logger_.should_log(level)) logger_.log(level, "{}", Line(event, fields));
  }

  spdlog::logger logger_;
};

class SilentLog final : public Log {
 public:
  void Debug(absl::string_view, Fields) override {}
  void Info(absl::string_view, Fields) override {}
  void Warning(absl::string_view, Fields) override {}
  void Error(absl::string_view, Fields) override {}
};

}  // namespace

std::unique_ptr<Log> Log::ToStandardError(absl::string_view program, bool verbose) {
  return std::make_unique<StandardErrorLog>(program, verbose);
}

std::unique_ptr<Log> Log::Silent() { return std::make_unique<SilentLog>(); }

}  // namespace stockpot
