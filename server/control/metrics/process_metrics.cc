#include "server/control/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "server/control/metrics/gauge_family.h"

namespace stockpot {
namespace {

struct ProcessState {
  double cpu_seconds = 0, threads = 0, virtual_bytes = 0, resident_bytes = 0;
};

// Fields are counted as proc(5) does, from 1; the second, a name in parentheses, may hold anything.
std::optional<ProcessState> ReadState() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  ProcessState state;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  for (int number = 3; number <= 24; ++number) {
    if (!(fields >> field)) return std::nullopt;
    double value = 0;
    if (number > 3 && !absl::SimpleAtod(field, &value)) return std::nullopt;  // 3: a letter
    if (number == 14 || number == 15) state.cpu_seconds += value / ticks;
    if (number == 20) state.threads = value;
    if (number == 23) state.virtual_bytes = value;
    if (number == 24) state.resident_bytes = value * static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  return state;
}

std::optional<double> CountOpen() {
  std::error_code error;
  double count = 0;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) ++count;
  if (error) return std::nullopt;
  return count - 1;  // but the one that looks
}

prometheus::MetricFamily CpuSeconds(double seconds) {
  prometheus::MetricFamily family;
  family.name = "process_cpu_seconds_total";
  family.help = "Processor time in user and system mode.";
  family.type = prometheus::MetricType::Counter;
  family.metric.emplace_back().counter.value = seconds;
  return family;
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  families.push_back(OneGauge("process_start_time_seconds",
                              "Start of the process, in seconds since the Unix epoch.",
                              static_cast<double>(absl::ToUnixMillis(start_)) / 1000.0));
  if (const std::optional<ProcessState> state = ReadState()) {
    families.push_back(CpuSeconds(state->cpu_seconds));
    families.push_back(
        OneGauge("process_resident_memory_bytes", "Memory in use.", state->resident_bytes));
    families.push_back(OneGauge("process_virtual_memory_bytes",
                                "Address space in use, mapped files included.",
                                state->virtual_bytes));
    families.push_back(OneGauge("process_threads", "Threads of the process.", state->threads));
  }
  if (const std::optional<double> open = CountOpen()) {
    families.push_back(OneGauge("process_open_fds", "Open file descriptors.", *open));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(OneGauge("process_max_fds", "Most file descriptors that may be open.",
                                static_cast<double>(limit.rlim_cur)));
  }
  return families;
}

}  // namespace stockpot
