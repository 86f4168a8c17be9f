// worker/checkpoint: checkpoints read as data, never as code.
//
// A StateDict is a named set of dense tensors, whatever the file it came from: safetensors,
// torch.save, or several files (checkpoint_files.h). It is memory-mapped; nothing is copied until
// asked for.
//
// Source: DESIGN.md section 4 (what is accepted), the safetensors format, the torch.save zip
// format. Ownership: a StateDict keeps its mapping alive; spans it gives live as long as it does.
// Thread safety: immutable after creation.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/base/progress.h"

namespace stockpot {

enum class DType {
  kBool,
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kUint64,
  kInt64,
  kFloat8E4M3,
  kFloat8E5M2,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
};

// Bytes of one element.
size_t DTypeSize(DType dtype);
// The safetensors name: "F32", "BF16", "F8_E4M3", "I64", "BOOL", …
absl::string_view DTypeName(DType dtype);
absl::StatusOr<DType> ParseDType(absl::string_view safetensors_name);
bool IsFloatingPoint(DType dtype);

struct TensorInfo {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // empty: a scalar

  int64_t element_count() const;
  size_t byte_count() const;
  friend bool operator==(const TensorInfo& a, const TensorInfo& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
  }
};

// Which of `tensors`, sorted by name, is called so.
std::optional<size_t> FindTensor(const std::vector<TensorInfo>& tensors, absl::string_view name);

// Bounds on what a checkpoint may ask of the reader before any of it is believed.
struct CheckpointLimits {
  uint64_t max_header_bytes = 100 << 20;  // safetensors header, or the pickle of a torch.save file
  uint64_t max_tensors = 1 << 20;
  int max_dimensions = 16;
  int max_nesting = 64;  // of JSON or pickle containers
};

class StateDict {
 public:
  virtual ~StateDict() = default;

  // Sorted by name, no duplicates.
  virtual const std::vector<TensorInfo>& tensors() const = 0;

  // The elements of tensors()[index], little-endian, row-major and contiguous. A view into the
  // mapping where the file stores them so; else `scratch` is filled and viewed.
  // Errors: DATA_LOSS when the file ended early.
  virtual absl::StatusOr<absl::Span<const char>> Read(size_t index,
                                                      std::vector<char>* scratch) const = 0;

  // Copies `out.size()` bytes of the elements from `offset` on. Where Read() gives a view this is a
  // plain read of the file, after which nothing stays in this process's memory.
  // Errors: as Read(); what reading a file gives.
  virtual absl::Status Copy(size_t index, size_t offset, absl::Span<char> out) const;

  // Whether Read() fills `scratch`.
  virtual bool IsCopied(size_t /*index*/) const { return false; }

  // Whether a blend takes the tensor as it is, from the first ingredient, in place of a sum.
  virtual bool IsFixed(size_t /*index*/) const { return false; }

  // "safetensors", "torch.save", "TorchScript", "sharded …", "LoRA adapter over …".
  virtual absl::string_view format() const = 0;

  // What was done to get at the tensors, for people: "taken from key 'state_dict'",
  // "prefix 'module.' removed", "ignored: 'epoch' (not a tensor)". Stable order.
  virtual const std::vector<std::string>& notes() const = 0;
};

// Opens the one file `path` by looking at its first bytes, not its name. Prefixes that wrappers put
// before names are removed (wrapper_prefixes.h).
// Errors (each names tensor, entry or offset): NOT_FOUND no such file; PERMISSION_DENIED
// unreadable; INVALID_ARGUMENT not a checkpoint, or one that breaks its format or the limits;
// UNIMPLEMENTED a known format that is not read (torch.save before 1.6: the message says how to
// convert); DATA_LOSS truncated. Reasons: CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID,
// CHECKPOINT_UNSUPPORTED, CHECKPOINT_TRUNCATED.
absl::StatusOr<std::shared_ptr<const StateDict>> OpenCheckpoint(const std::string& path,
                                                                const CheckpointLimits& limits);

// What a full read of a state dict finds.
struct ContentSummary {
  // SHA-256 over name, dtype, shape and bytes (blockwise_digest.h) of every tensor in name order:
  // the same weights have the same digest in every file format.
  std::string digest;
  // The first floating-point tensor in name order that holds a NaN or an infinity; empty when none.
  std::string non_finite_tensor;
  uint64_t byte_count = 0;  // of all tensors
};
// `progress` counts tensors.
absl::StatusOr<ContentSummary> SummarizeContent(const StateDict& state_dict,
                                                const Progress& progress = Unwatched);

// Why `other` cannot be averaged with `expected` (a missing or extra tensor, another shape or
// dtype; every difference up to the first 20, then how many more), or OK when it can.
// Code INVALID_ARGUMENT, reason CHECKPOINT_MISMATCH, metadata "tensor".
absl::Status CheckCompatible(const std::vector<TensorInfo>& expected,
                             const std::vector<TensorInfo>& other);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_H_
