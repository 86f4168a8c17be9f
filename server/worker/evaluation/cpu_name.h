// Which processor this is, for people and for DeviceInfo::numerics. Internal to evaluation/.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CPU_NAME_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CPU_NAME_H_

#include <string>

namespace stockpot {

struct CpuName {
  std::string vendor = "unknown";  // "AuthenticAMD"
  std::string model = "CPU";       // "AMD EPYC 7763 64-Core Processor"
};

// Of the first processor in /proc/cpuinfo; the defaults where it does not say. Thread-safe.
CpuName ReadCpuName();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CPU_NAME_H_
