#include "server/worker/evaluation/example_batch.h"

#include <algorithm>

#include "server/base/status.h"

namespace stockpot {

namespace {

// `all` has as many numbers for each of `example_count` examples, of which the first `longest` are
// taken.
template <typename Number>
std::vector<Number> PickFrom(absl::Span<const Number> all, int64_t example_count,
                             absl::Span<const int64_t> examples,
                             size_t longest = absl::Span<const Number>::npos) {
  const size_t length = all.size() / static_cast<size_t>(example_count);
  std::vector<Number> picked;
  for (const int64_t example : examples) {
    const auto own = all.subspan(static_cast<size_t>(example) * length, length).subspan(0, longest);
    picked.insert(picked.end(), own.begin(), own.end());
  }
  return picked;
}

}  // namespace

absl::Status ExampleBatch::Pick(absl::Span<const int64_t> examples) {
  RETURN_IF_ERROR(data_set_.Bring(examples));
  size_ = static_cast<int64_t>(examples.size());
  lengths_.clear();
  begins_.clear();
  int64_t positions = 0, longest = 0;
  for (const int64_t source : examples) {
    const int64_t length = data_set_.length(source);
    if (length == 0) break;
    lengths_.push_back(length);
    begins_.push_back(positions);
    positions += length;
    longest = std::max(longest, length);
  }
  for (size_t k = 0; k < bytes_.size(); ++k) {
    const bool varies = inputs()[k].varies();
    const auto units = varies ? static_cast<size_t>(positions) : examples.size();
    bytes_[k].resize(units * inputs()[k].byte_count);
    for (size_t i = 0; i < examples.size(); ++i) {
      const auto own = varies ? static_cast<size_t>(lengths_[i]) : 1;
      const auto begin = varies ? static_cast<size_t>(begins_[i]) : i;
      std::copy_n(data_set_.example(k, examples[i]), own * inputs()[k].byte_count,
                  bytes_[k].data() + begin * inputs()[k].byte_count);
    }
  }
  const bool trims = longest > 0 && label_kind() == LabelKind::kTokens;
  labels_ = PickFrom(data_set_.labels(), data_set_.size(), examples,
                     trims ? static_cast<size_t>(longest) : absl::Span<const int64_t>::npos);
  targets_ = PickFrom(data_set_.targets(), data_set_.size(), examples);
  weights_ = PickFrom(data_set_.weights(), data_set_.size(), examples,
                      trims ? static_cast<size_t>(longest) : absl::Span<const double>::npos);
  return absl::OkStatus();
}

}  // namespace stockpot
