#include "server/worker/dataset/content_digest.h"

#include <algorithm>
#include <numeric>

#include "server/base/blockwise_digest.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Supported machines are little-endian, as safetensors files are.
template <typename Number>
absl::string_view AsBytes(const std::vector<Number>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Number)};
}

void AddLabels(const Labels& labels, Sha256* digest) {
  switch (labels.kind) {
    case LabelKind::kClasses:
      digest->UpdateField("stockpot data set 1").UpdateField(AsBytes(labels.integers));
      break;
    case LabelKind::kNumbers:
      digest->UpdateField("stockpot data set 1, numbers").UpdateField(AsBytes(labels.numbers));
      break;
    case LabelKind::kTokens:
      digest->UpdateField("stockpot data set 1, tokens")
          .UpdateField(AsBytes(std::vector<int64_t>{labels.length}))
          .UpdateField(AsBytes(labels.integers));
      break;
  }
}

void DescribeInput(const InputInfo& input, Sha256* digest) {
  digest->UpdateField(input.name)
      .UpdateField(DTypeName(input.dtype))
      .UpdateField(AsBytes(input.shape));
}

void AddWeights(const std::vector<double>& weights, Sha256* digest) {
  if (!weights.empty()) digest->UpdateField("weights").UpdateField(AsBytes(weights));
}

}  // namespace

absl::StatusOr<std::string> ContentDigestOfParts(
    const InputInfo& input, const Labels& labels, const std::vector<double>& weights,
    const std::function<absl::Status(const std::function<void(absl::string_view)>&)>& give) {
  Sha256 digest;
  AddLabels(labels, &digest);
  DescribeInput(input, &digest);
  BlockwiseField field(static_cast<uint64_t>(labels.example_count) * input.byte_count, &digest);
  RETURN_IF_ERROR(give([&](absl::string_view bytes) { field.Update(bytes, &digest); }));
  AddWeights(weights, &digest);
  return digest.Finish();
}

std::string ContentDigest(const std::vector<InputInfo>& inputs,
                          const std::vector<const char*>& examples, const Labels& labels,
                          const std::vector<int64_t>& lengths, const std::vector<double>& weights) {
  const int64_t positions = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::vector<size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return inputs[a].name < inputs[b].name; });
  Sha256 digest;
  AddLabels(labels, &digest);
  for (size_t k : order) {
    DescribeInput(inputs[k], &digest);
    const int64_t units = inputs[k].varies() ? positions : labels.example_count;
    UpdateFieldInParallel({examples[k], static_cast<size_t>(units) * inputs[k].byte_count},
                          &digest);
  }
  if (!lengths.empty()) digest.UpdateField("lengths").UpdateField(AsBytes(lengths));
  for (size_t k : order) {
    if (lengths.empty() || !inputs[k].varies()) continue;
    digest.UpdateField(AsBytes(std::vector<double>{inputs[k].pad_value}));
  }
  AddWeights(weights, &digest);
  return digest.Finish();
}

}  // namespace stockpot
