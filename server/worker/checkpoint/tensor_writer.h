// A checkpoint file written tensor by tensor, in bounded memory, whatever its format.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/checkpoint/summed_file.h"

namespace stockpot {

class TensorWriter {
 public:
  virtual ~TensorWriter() = default;

  // The next tensor's elements: little-endian, row-major, exactly byte_count() bytes.
  absl::Status Append(absl::Span<const char> elements);

  // Flushes and syncs. FAILED_PRECONDITION when tensors are missing.
  absl::StatusOr<WrittenFile> Finish();

 protected:
  explicit TensorWriter(std::vector<TensorInfo> tensors);

  // Each name can be read back and comes once.
  static absl::Status CheckNames(const std::vector<TensorInfo>& tensors);

 private:
  virtual absl::Status WriteTensor(size_t index, absl::Span<const char> elements) = 0;
  virtual absl::StatusOr<WrittenFile> Close() = 0;

  const std::vector<TensorInfo> tensors_;  // in the order in which they come
  size_t next_ = 0;                        // of tensors_, to be written
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_
