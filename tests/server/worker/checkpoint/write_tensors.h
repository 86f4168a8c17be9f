// Small safetensors files of float32 numbers. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_WRITE_TENSORS_H_
#define STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_WRITE_TENSORS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "server/worker/checkpoint/safetensors_writer.h"

namespace stockpot {

struct Numbers {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> numbers;
};

// Replaces the file. Dies where it cannot.
inline void WriteTensors(const std::string& path, const std::vector<Numbers>& tensors) {
  std::filesystem::remove(path);
  std::vector<TensorInfo> infos;
  for (const Numbers& tensor : tensors)
    infos.push_back({tensor.name, DType::kFloat32, tensor.shape});
  auto writer = SafetensorsWriter::Create(path, infos, {}).value();
  for (const Numbers& tensor : tensors) {
    const auto* bytes = reinterpret_cast<const char*>(tensor.numbers.data());
    writer->Append(absl::MakeConstSpan(bytes, tensor.numbers.size() * sizeof(float))).IgnoreError();
  }
  writer->Finish().value();
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_WRITE_TENSORS_H_
