#include "server/worker/dataset/content_digest.h"

#include <algorithm>
#include <numeric>

#include "server/base/digest.h"

namespace stockpot {
namespace {

// Supported machines are little-endian, as safetensors files are.
absl::string_view AsBytes(absl::Span<const int64_t> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t)};
}

}  // namespace

std::string ContentDigest(const std::vector<InputInfo>& inputs,
                          const std::vector<const char*>& examples,
                          absl::Span<const int64_t> labels) {
  std::vector<size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return inputs[a].name < inputs[b].name; });
  Sha256 digest;
  digest.UpdateField("stockpot data set 1").UpdateField(AsBytes(labels));
  for (size_t k : order) {
    digest.UpdateField(inputs[k].name)
        .UpdateField(DTypeName(inputs[k].dtype))
        .UpdateField(AsBytes(inputs[k].shape))
        .UpdateField({examples[k], labels.size() * inputs[k].byte_count});
  }
  return digest.Finish();
}

}  // namespace stockpot
