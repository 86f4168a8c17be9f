// The JSON header of a safetensors file, parsed event by event: no document is built, and a name
// that comes twice is seen. What it promises about the data is checked here too.
//
// Source: https://github.com/huggingface/safetensors (format), attacks in its attacks/ folder.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_HEADER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin = 0;  // bytes, from the start of the data
  uint64_t end = 0;
};

// The entries by name. `data_size` is what follows the header in the file.
// Errors: INVALID_ARGUMENT, one message per cause, naming the tensor; DATA_LOSS when the header is
// sound and asks for more data than there is.
absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    absl::string_view header, uint64_t data_size, const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_HEADER_H_
