#include "server/worker/evaluation/host_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/numbers.h"

namespace stockpot {
namespace {

// The number after `name` in lines of "NAME NUMBER …".
std::optional<int64_t> NumberOf(const std::string& file, const std::string& name) {
  std::ifstream lines(file);
  std::string line, word;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    int64_t number = 0;
    if (words >> word && word == name && words >> number) return number;
  }
  return std::nullopt;
}

// Of a file that holds one; "max" is none.
std::optional<int64_t> NumberIn(const std::string& file) {
  std::ifstream stream(file);
  std::string word;
  int64_t number = 0;
  if (!(stream >> word) || !absl::SimpleAtoi(word, &number)) return std::nullopt;
  return number;
}

}  // namespace

HostMemory ReadHostMemory(const std::string& meminfo_file,
                          const std::string& control_group_folder) {
  constexpr int64_t kKibibyte = 1024;
  const std::optional<int64_t> total = NumberOf(meminfo_file, "MemTotal:");
  const std::optional<int64_t> available = NumberOf(meminfo_file, "MemAvailable:");
  HostMemory memory;
  if (total.has_value() && available.has_value()) {
    memory = {(*total - *available) * kKibibyte, *total * kKibibyte};
  }
  const std::optional<int64_t> most = NumberIn(control_group_folder + "/memory.max");
  const std::optional<int64_t> current = NumberIn(control_group_folder + "/memory.current");
  if (!most.has_value() || !current.has_value()) return memory;
  if (memory.total != 0 && *most >= memory.total) return memory;
  const std::optional<int64_t> idle_files =
      NumberOf(control_group_folder + "/memory.stat", "inactive_file");
  return {std::max<int64_t>(*current - idle_files.value_or(0), 0), *most};
}

}  // namespace stockpot
