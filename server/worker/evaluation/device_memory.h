// How much memory a device has, and how much of it is taken, by whomever: for metrics.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_MEMORY_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_MEMORY_H_

#include <string>

#include "server/base/work_counters.h"

namespace stockpot {

// `device` as Runner::Load has it. Of "cpu" it is the machine's or container's. Zeros where it is
// not known, as of a card that nothing ran on yet. May wait for the card's driver.
DeviceMemory ReadDeviceMemory(const std::string& device);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_DEVICE_MEMORY_H_
