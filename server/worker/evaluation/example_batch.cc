#include "server/worker/evaluation/example_batch.h"

#include <algorithm>

namespace stockpot {

namespace {

// `all` has as many numbers for each of `example_count` examples.
template <typename Number>
std::vector<Number> PickFrom(absl::Span<const Number> all, int64_t example_count,
                             absl::Span<const int64_t> examples) {
  const size_t length = all.size() / static_cast<size_t>(example_count);
  std::vector<Number> picked;
  for (const int64_t example : examples) {
    const auto own = all.subspan(static_cast<size_t>(example) * length, length);
    picked.insert(picked.end(), own.begin(), own.end());
  }
  return picked;
}

}  // namespace

void ExampleBatch::Pick(absl::Span<const int64_t> examples) {
  size_ = static_cast<int64_t>(examples.size());
  for (size_t k = 0; k < bytes_.size(); ++k) {
    const size_t size = inputs()[k].byte_count;
    bytes_[k].resize(examples.size() * size);
    for (size_t i = 0; i < examples.size(); ++i) {
      std::copy_n(data_set_.example(k, examples[i]), size, bytes_[k].data() + i * size);
    }
  }
  labels_ = PickFrom(data_set_.labels(), data_set_.size(), examples);
  targets_ = PickFrom(data_set_.targets(), data_set_.size(), examples);
}

}  // namespace stockpot
