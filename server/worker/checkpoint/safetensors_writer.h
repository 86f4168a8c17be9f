// Writes a safetensors file. The format: 8 bytes little-endian header size, JSON header padded with
// spaces to a multiple of 8, then data.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/tensor_writer.h"

namespace stockpot {

class SafetensorsWriter final : public TensorWriter {
 public:
  // Creates `path` as SummedFile does, and writes the header for `tensors`, whose data will come in
  // this order. `metadata` becomes "__metadata__".
  static absl::StatusOr<std::unique_ptr<TensorWriter>> Create(
      const std::string& path, std::vector<TensorInfo> tensors,
      const std::map<std::string, std::string>& metadata,
      SummedFile::SystemCache cache = SummedFile::SystemCache::kUsed);

  // One stores, the other sums.
  std::vector<Sink> Sinks() override;

 private:
  SafetensorsWriter(SummedFile file, std::vector<TensorInfo> tensors)
      : TensorWriter(std::move(tensors)), file_(std::move(file)) {}

  absl::Status WritePart(size_t index, absl::Span<const char> elements) override;
  absl::StatusOr<WrittenFile> Close() override;

  SummedFile file_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_WRITER_H_
