// Writes a safetensors file tensor by tensor, in bounded memory. The format:
// 8 bytes little-endian header size, JSON header padded with spaces to a multiple of 8, then data.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct WrittenFile {
  uint64_t byte_count = 0;
  std::string sha256;  // of the whole file
};

class SafetensorsWriter {
 public:
  // Creates `path` (which must not exist), and writes the header for `tensors`, whose data will
  // come in this order. `metadata` becomes "__metadata__".
  static absl::StatusOr<std::unique_ptr<SafetensorsWriter>> Create(
      const std::string& path, std::vector<TensorInfo> tensors,
      const std::map<std::string, std::string>& metadata);
  ~SafetensorsWriter();

  // The next tensor's elements: little-endian, row-major, exactly byte_count() bytes.
  absl::Status Append(absl::Span<const char> elements);

  // Flushes and syncs. FAILED_PRECONDITION when tensors are missing.
  absl::StatusOr<WrittenFile> Finish();

 private:
  class Impl;
  explicit SafetensorsWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_
