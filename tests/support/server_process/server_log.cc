#include "tests/support/server_process/server_log.h"

#include <algorithm>
#include <fstream>
#include <set>

namespace stockpot {
namespace {

// "key=value" or "key=\"value\"", from `at` on; moves `at` behind it. False: there is none.
bool ReadField(const std::string& line, size_t* at, LogLine* parsed) {
  const size_t begin = line.find_first_not_of(' ', *at);
  if (begin == std::string::npos) return false;
  const size_t equals = line.find('=', begin);
  if (equals == std::string::npos) return false;
  const bool quoted = line.compare(equals + 1, 1, "\"") == 0;
  size_t end = equals + 1;
  if (quoted) {
    for (++end; end < line.size() && line[end] != '"'; ++end) end += line[end] == '\\' ? 1 : 0;
  } else {
    end = std::min(line.find(' ', end), line.size());
  }
  const size_t value = equals + (quoted ? 2 : 1);
  parsed->fields[line.substr(begin, equals - begin)] = line.substr(value, end - value);
  *at = end + (quoted ? 1 : 0);
  return true;
}

std::string KeyOf(const LogLine& line) {
  const auto assignment = line.fields.find("assignment");
  return assignment == line.fields.end()
             ? ""
             : assignment->second.substr(0, assignment->second.rfind('/'));
}

}  // namespace

std::vector<LogLine> ReadServerLog(const std::string& path) {
  std::vector<LogLine> log;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    // "2026-11-26T14:00:00.000Z D stockpotd[123] event key=value"
    const size_t bracket = line.find("] ");
    if (line.find(" stockpot") == std::string::npos || bracket == std::string::npos) continue;
    const size_t begin = bracket + 2;
    size_t at = std::min(line.find(' ', begin), line.size());
    LogLine parsed;
    parsed.event = line.substr(begin, at - begin);
    while (ReadField(line, &at, &parsed)) continue;
    log.push_back(std::move(parsed));
  }
  return log;
}

std::vector<std::string> KeysOfTasksGiven(const std::vector<LogLine>& log) {
  std::vector<std::string> keys;
  for (const LogLine& line : log) {
    if (line.event == "task_given") keys.push_back(KeyOf(line));
  }
  return keys;
}

std::vector<std::string> KeysOfTasksCutShort(const std::vector<LogLine>& log) {
  std::vector<std::string> keys = KeysOfTasksGiven(log);
  for (const LogLine& line : log) {
    if (line.event == "task_stored" && line.fields.at("outcome") == "OK") {
      std::erase(keys, KeyOf(line));
    }
  }
  return keys;
}

std::vector<std::string> TasksGivenAfterTheirEnd(const std::vector<LogLine>& log) {
  std::vector<std::string> again;
  std::set<std::string> ended;
  for (const LogLine& line : log) {
    if (line.event == "task_stored" && line.fields.at("outcome") == "OK") ended.insert(KeyOf(line));
    if (line.event == "task_given" && ended.count(KeyOf(line)) > 0) {
      again.push_back(line.fields.at("task") + " as " + line.fields.at("assignment"));
    }
  }
  return again;
}

}  // namespace stockpot
