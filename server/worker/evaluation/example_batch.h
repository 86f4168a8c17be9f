// A few examples of a data set, picked and laid side by side; labels that are tokens are as long as
// the longest of them. Internal to evaluation/.
// Thread safety: thread-compatible. The data set must outlive it.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_EXAMPLE_BATCH_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_EXAMPLE_BATCH_H_

#include <string>
#include <vector>

#include "server/worker/dataset/data_set.h"

namespace stockpot {

class ExampleBatch final : public DataSet {
 public:
  explicit ExampleBatch(const DataSet& data_set)
      : data_set_(data_set), bytes_(data_set.inputs().size()) {}

  // Holds these examples from now on, and no others. Errors: of DataSet::Bring.
  absl::Status Pick(absl::Span<const int64_t> examples);

  int64_t size() const override { return size_; }
  const std::vector<InputInfo>& inputs() const override { return data_set_.inputs(); }
  LabelKind label_kind() const override { return data_set_.label_kind(); }
  absl::Span<const int64_t> labels() const override { return labels_; }
  absl::Span<const double> targets() const override { return targets_; }
  absl::Span<const double> weights() const override { return weights_; }
  int64_t class_count() const override { return data_set_.class_count(); }
  const std::vector<std::string>& class_names() const override { return data_set_.class_names(); }
  const char* example(size_t k, int64_t i) const override {
    const auto unit =
        static_cast<size_t>(inputs()[k].varies() ? begins_[static_cast<size_t>(i)] : i);
    return bytes_[k].data() + unit * inputs()[k].byte_count;
  }
  int64_t length(int64_t i) const override {
    return lengths_.empty() ? 0 : lengths_[static_cast<size_t>(i)];
  }
  const std::string& digest() const override { return data_set_.digest(); }

 private:
  const DataSet& data_set_;
  int64_t size_ = 0;
  std::vector<std::vector<char>> bytes_;   // by input
  std::vector<int64_t> lengths_, begins_;  // where examples differ in length
  std::vector<int64_t> labels_;
  std::vector<double> targets_, weights_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_EXAMPLE_BATCH_H_
