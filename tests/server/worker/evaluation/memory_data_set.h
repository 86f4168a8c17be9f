// A data set in memory, of tensors as WriteSafetensors takes them: [examples, …] each.
// Thread safety: immutable.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_
#define STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_

#include <string>
#include <utility>
#include <vector>

#include "server/base/digest.h"
#include "server/worker/dataset/data_set.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

class MemoryDataSet final : public DataSet {
 public:
  // Of classes.
  MemoryDataSet(std::vector<MadeTensor> tensors, std::vector<int64_t> labels)
      : MemoryDataSet(std::move(tensors), Classes(std::move(labels))) {}

  MemoryDataSet(std::vector<MadeTensor> tensors, Labels labels)
      : tensors_(std::move(tensors)), labels_(std::move(labels)) {
    for (const MadeTensor& tensor : tensors_) {
      const std::vector<int64_t>& shape = tensor.info.shape;
      inputs_.push_back({tensor.info.name,
                         tensor.info.dtype,
                         {shape.begin() + 1, shape.end()},
                         tensor.bytes.size() / static_cast<size_t>(size())});
      digest_ += Sha256Hex(tensor.bytes);  // of all that is looked up by it
    }
  }

  // No inputs: for what looks at labels alone.
  static MemoryDataSet OfClasses(std::vector<int64_t> labels) {
    return MemoryDataSet({}, std::move(labels));
  }
  static MemoryDataSet OfNumbers(std::vector<double> numbers) {
    Labels labels;
    labels.kind = LabelKind::kNumbers;
    labels.example_count = static_cast<int64_t>(numbers.size());
    labels.numbers = std::move(numbers);
    return MemoryDataSet({}, std::move(labels));
  }
  static MemoryDataSet OfTokens(int64_t examples, std::vector<int64_t> tokens) {
    Labels labels;
    labels.kind = LabelKind::kTokens;
    labels.example_count = examples;
    labels.length = static_cast<int64_t>(tokens.size()) / examples;
    labels.integers = std::move(tokens);
    return MemoryDataSet({}, std::move(labels));
  }

  MemoryDataSet WithWeights(std::vector<double> weights) && {
    weights_ = std::move(weights);
    return std::move(*this);
  }

  int64_t size() const override { return labels_.example_count; }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  LabelKind label_kind() const override { return labels_.kind; }
  absl::Span<const int64_t> labels() const override { return labels_.integers; }
  absl::Span<const double> targets() const override { return labels_.numbers; }
  absl::Span<const double> weights() const override { return weights_; }
  int64_t class_count() const override { return 3; }
  const std::vector<std::string>& class_names() const override { return empty_; }
  const char* example(size_t k, int64_t i) const override {
    return tensors_[k].bytes.data() + static_cast<size_t>(i) * inputs_[k].byte_count;
  }
  const std::string& digest() const override { return digest_; }

 private:
  static Labels Classes(std::vector<int64_t> values) {
    Labels labels;
    labels.example_count = static_cast<int64_t>(values.size());
    labels.integers = std::move(values);
    return labels;
  }

  std::vector<MadeTensor> tensors_;
  Labels labels_;
  std::vector<double> weights_;
  std::vector<InputInfo> inputs_;
  std::vector<std::string> empty_;
  std::string digest_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_
