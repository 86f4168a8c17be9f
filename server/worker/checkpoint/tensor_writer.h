// A checkpoint file written tensor by tensor, in bounded memory, whatever its format.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_

#include <functional>
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

  // The same in parts, in order; an empty tensor is one empty part.
  absl::Status AppendPart(absl::Span<const char> elements);

  // AppendPart() in pieces that different threads may call at once: each is to be given every part
  // in order, in place of AppendPart(). They live as long as the writer.
  using Sink = std::function<absl::Status(absl::Span<const char>)>;
  virtual std::vector<Sink> Sinks();

  // Flushes and syncs. FAILED_PRECONDITION when tensors are missing.
  absl::StatusOr<WrittenFile> Finish();

 protected:
  explicit TensorWriter(std::vector<TensorInfo> tensors);

  // Each name can be read back and comes once.
  static absl::Status CheckNames(const std::vector<TensorInfo>& tensors);

  // Counts a part; gives the index of its tensor.
  absl::StatusOr<size_t> Advance(size_t byte_count);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }

 private:
  virtual absl::Status WritePart(size_t index, absl::Span<const char> elements) = 0;
  virtual absl::StatusOr<WrittenFile> Close() = 0;

  const std::vector<TensorInfo> tensors_;  // in the order in which they come
  size_t next_ = 0;                        // of tensors_, to be written
  size_t written_bytes_ = 0;               // of that tensor
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_WRITER_H_
