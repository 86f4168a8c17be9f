#include "server/worker/dataset/streamed_images.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/dataset/content_digest.h"
#include "server/worker/dataset/digest_cache.h"
#include "server/worker/dataset/image_data_set.h"
#include "server/worker/dataset/read_ahead.h"

namespace stockpot {
namespace {

class StreamedImages final : public DataSet {
 public:
  StreamedImages(ListedImages images, const DataSetSource& source, const PixelSize& size,
                 const DataSetLimits& limits)
      : images_(std::move(images)),
        loader_(images_, source.geometry, limits),
        size_(size),
        max_ahead_bytes_(std::min(limits.max_ahead_bytes, limits.max_cache_bytes)),
        inputs_({DescribeImages(source.image_input, size)}) {}

  absl::StatusOr<std::string> ComputeDigest(const Progress& progress) const {
    std::vector<int64_t> order(images_.labels.size());
    std::iota(order.begin(), order.end(), 0);
    const auto ahead = WillBring(order);
    Labels labels;
    labels.example_count = size();
    labels.integers = images_.labels;
    const auto give = [&](const std::function<void(absl::string_view)>& take) -> absl::Status {
      for (const int64_t& example : order) {
        RETURN_IF_ERROR(Bring({&example, 1}));
        take(held_);
        RETURN_IF_ERROR(progress(example + 1, size()));
      }
      return absl::OkStatus();
    };
    ASSIGN_OR_RETURN(std::string digest,
                     ContentDigestOfParts(inputs_[0], labels, images_.weights, give));
    RETURN_IF_ERROR(CheckUnchanged());
    return digest;
  }
  void set_digest(std::string digest) { digest_ = std::move(digest); }

  int64_t size() const override { return static_cast<int64_t>(images_.labels.size()); }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  bool has_images() const override { return true; }
  absl::Span<const int64_t> labels() const override { return images_.labels; }
  absl::Span<const double> weights() const override { return images_.weights; }
  int64_t class_count() const override { return ClassCountOf(images_); }
  const std::vector<std::string>& class_names() const override { return images_.class_names; }
  const std::string& digest() const override { return digest_; }

  bool is_streamed() const override { return true; }
  bool reads_well_in_any_order() const override {
    return images_.source->reads_well_in_any_order();
  }
  absl::Status CheckUnchanged() const override { return images_.source->CheckUnchanged(); }

  const char* example(size_t, int64_t i) const override {
    const auto found = row_of_.find(i);
    return found == row_of_.end() ? nullptr : RowAt(found->second);
  }

  std::shared_ptr<const void> WillBring(absl::Span<const int64_t> order) const override {
    // Two for each core, so that none waits while the pass takes a batch.
    const size_t least = 2 * static_cast<size_t>(CoreCount());
    const size_t most = std::max(least, static_cast<size_t>(max_ahead_bytes_ / size_.byte_count()));
    const size_t slots = std::max<size_t>(1, std::min(most, order.size()));
    auto ahead = std::make_shared<ReadAhead>(
        std::vector<int64_t>(order.begin(), order.end()), size_.byte_count(), slots, CoreCount(),
        [this](int64_t i, char* to) { return loader_.Load(static_cast<size_t>(i), size_, to); });
    ahead_ = ahead;
    return ahead;
  }

  absl::Status Bring(absl::Span<const int64_t> examples) const override {
    row_of_.clear();
    held_.resize(examples.size() * size_.byte_count());
    const std::shared_ptr<ReadAhead> ahead = ahead_.lock();
    std::vector<size_t> missing;
    for (size_t row = 0; row < examples.size(); ++row) {
      bool is_here = false;
      if (ahead != nullptr) {
        ASSIGN_OR_RETURN(is_here, ahead->Take(examples[row], RowAt(row)));
      }
      if (!is_here) missing.push_back(row);
    }
    RETURN_IF_ERROR(ForEachInParallel(missing.size(), [&](size_t k) {
      return loader_.Load(static_cast<size_t>(examples[missing[k]]), size_, RowAt(missing[k]));
    }));
    for (size_t row = 0; row < examples.size(); ++row) row_of_.emplace(examples[row], row);
    return absl::OkStatus();
  }

 private:
  char* RowAt(size_t row) const { return held_.data() + row * size_.byte_count(); }

  const ListedImages images_;
  const ImageLoader loader_;
  const PixelSize size_;
  const uint64_t max_ahead_bytes_;
  const std::vector<InputInfo> inputs_;
  std::string digest_;
  // Of the one pass that reads it.
  mutable std::weak_ptr<ReadAhead> ahead_;
  mutable std::string held_;  // what was brought, side by side
  mutable absl::flat_hash_map<int64_t, size_t> row_of_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenStreamedImages(
    ListedImages images, const DataSetSource& source, const PixelSize& size, const std::string& key,
    const CacheFolder& cache, const DataSetLimits& limits, const Progress& progress) {
  auto data_set = std::make_shared<StreamedImages>(std::move(images), source, size, limits);
  const auto compute = [&] {
    const absl::Time begin = absl::Now();
    auto digest = data_set->ComputeDigest(progress);
    cache.CountBuilding(absl::Now() - begin);
    return digest;
  };
  ASSIGN_OR_RETURN(std::string digest, OpenOrMakeDigest(cache, key, limits, compute));
  data_set->set_digest(std::move(digest));
  return data_set;
}

}  // namespace stockpot
