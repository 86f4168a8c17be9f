// Memory of this machine, or of the container that the process runs in, where that is less.
// Sources: proc_meminfo(5); Linux' cgroup-v2.rst ("memory.current", "memory.max", "memory.stat").
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_HOST_MEMORY_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_HOST_MEMORY_H_

#include <cstdint>
#include <string>

namespace stockpot {

// In bytes; both 0 where the kernel does not say.
struct HostMemory {
  int64_t used = 0;  // what is not to be had: caches of files that could be given up do not count
  int64_t total = 0;
};

HostMemory ReadHostMemory(const std::string& meminfo_file = "/proc/meminfo",
                          const std::string& control_group_folder = "/sys/fs/cgroup");

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_HOST_MEMORY_H_
