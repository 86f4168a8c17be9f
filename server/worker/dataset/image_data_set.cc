#include "server/worker/dataset/image_data_set.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/worker/dataset/image_cache.h"
#include "server/worker/dataset/image_geometry.h"
#include "server/worker/dataset/image_loader.h"
#include "server/worker/dataset/streamed_images.h"

namespace stockpot {
namespace {

class ImageDataSet final : public DataSet {
 public:
  ImageDataSet(ListedImages listed, CachedImages images)
      : class_count_(ClassCountOf(listed)),
        class_names_(std::move(listed.class_names)),
        images_(std::move(images)),
        inputs_({images_.input}),
        labels_(std::move(listed.labels)),
        weights_(std::move(listed.weights)) {}

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  bool has_images() const override { return true; }
  absl::Span<const int64_t> labels() const override { return labels_; }
  absl::Span<const double> weights() const override { return weights_; }
  int64_t class_count() const override { return class_count_; }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  const char* example(size_t, int64_t i) const override {
    return images_.examples() + static_cast<size_t>(i) * inputs_[0].byte_count;
  }
  const std::string& digest() const override { return images_.digest; }

 private:
  const int64_t class_count_;
  const std::vector<std::string> class_names_;
  const CachedImages images_;
  const std::vector<InputInfo> inputs_;
  const std::vector<int64_t> labels_;
  const std::vector<double> weights_;
};

}  // namespace

int64_t ClassCountOf(const ListedImages& images) {
  return images.class_names.empty()
             ? *std::max_element(images.labels.begin(), images.labels.end()) + 1
             : static_cast<int64_t>(images.class_names.size());
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageDataSet(ListedImages listed,
                                                                const DataSetSource& source,
                                                                const CacheFolder& cache,
                                                                const DataSetLimits& limits,
                                                                const Progress& progress) {
  RETURN_IF_ERROR(CheckGeometry(source.geometry));
  const std::string key = ImageCacheKey(listed, source);
  const std::string name = key + ".images";
  const auto open = [&] {
    return OpenCachedImages(cache.PathOf(name), key, listed.examples.size(), source.image_input);
  };
  const auto build = [&] {
    return BuildCachedImages(listed, source, limits, key, cache, name, progress);
  };
  if (limits.max_cache_bytes > 0 && source.files_stay && !open().ok()) {
    ASSIGN_OR_RETURN(const PixelSize size, ImageLoader(listed, source.geometry, limits).FindSize());
    if (CachedImageBytes(listed.examples.size(), size) > limits.max_cache_bytes) {
      return OpenStreamedImages(std::move(listed), source, size, key, cache, limits, progress);
    }
  }
  ASSIGN_OR_RETURN(CachedImages images,
                   OpenOrBuild(cache, name, limits.max_cache_bytes, open, build));
  return std::make_shared<const ImageDataSet>(std::move(listed), std::move(images));
}

}  // namespace stockpot
