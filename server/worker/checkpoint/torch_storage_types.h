// Element types by the names torch gives storages and dtypes.
// Source: torch/storage.py, _dtype_to_storage_type_map. Thread safety: the functions are
// thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_STORAGE_TYPES_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_STORAGE_TYPES_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// "FloatStorage" → F32; nullopt for what is not read (complex, quantized). "UntypedStorage" counts
// bytes and gives U8.
std::optional<DType> DTypeOfTorchStorage(absl::string_view storage_type);

// "float8_e4m3fn" → F8_E4M3.
std::optional<DType> DTypeOfTorchName(absl::string_view dtype_name);

// F32 → "FloatStorage"; "" for a dtype that torch saves in an UntypedStorage.
absl::string_view TorchStorageOfDType(DType dtype);

// F8_E4M3 → "float8_e4m3fn".
absl::string_view TorchNameOfDType(DType dtype);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_STORAGE_TYPES_H_
