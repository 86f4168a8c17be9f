#include "server/worker/evaluation/device_memory.h"

#include "absl/strings/str_cat.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/host_memory.h"
#include "server/worker/evaluation/torch_device.h"

namespace stockpot {

DeviceMemory ReadDeviceMemory(const std::string& device) {
  DeviceMemory memory;
  const absl::StatusOr<c10::Device> opened = OpenTorchDevice(device);
  if (!opened.ok()) return memory;
  if (!opened->is_cuda()) {
    const HostMemory host = ReadHostMemory();
    return {"cpu", host.used, host.total};
  }
  memory.device = absl::StrCat("cuda:", static_cast<int>(opened->index()));
  Guard("asking for the card's memory", [&] {
    const CardMemory card = MemoryOf(*opened);
    memory.used_bytes = static_cast<int64_t>(card.total - card.free);
    memory.total_bytes = static_cast<int64_t>(card.total);
    return absl::OkStatus();
  }).IgnoreError();  // a card that is lost shows at its next use
  return memory;
}

}  // namespace stockpot
