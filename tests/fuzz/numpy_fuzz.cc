// A .npy file as bytes, or what begins as an archive as a .npz file.
#include "server/worker/dataset/numpy_file.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {
namespace {

void ReadArray(absl::string_view file) {
  const auto array = ParseNumpy(file);
  if (!array.ok()) return;
  Require(array->bytes.size() == array->info.byte_count(), "an array has the bytes of its shape");
  Require(array->bytes.data() + array->bytes.size() <= file.data() + file.size(),
          "an array lies in its file");
}

void ReadArchive(absl::string_view bytes) {
  const MemoryFile file(bytes);
  const auto rows = OpenNumpy(file.path(), {});
  if (!rows.ok()) return;
  const std::vector<TensorInfo>& tensors = (*rows)->tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    size_t given = 0;
    const absl::Status scanned = (*rows)->Scan(i, [&](absl::string_view some) {
      given += some.size();
      return absl::OkStatus();
    });
    Require(!scanned.ok() || given == tensors[i].byte_count(), "all elements are given");
    Require(given <= bytes.size(), "an array lies in its file");
  }
  (*rows)->Verify().IgnoreError();  // a wrong sum is no broken promise
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes = stockpot::AsText(data, size);
  if (bytes.substr(0, 2) == "PK") {
    stockpot::ReadArchive(bytes);
  } else {
    stockpot::ReadArray(bytes);
  }
  return 0;
}
