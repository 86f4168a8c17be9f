#include "server/worker/dataset/image_data_set.h"

#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/worker/dataset/image_cache.h"
#include "server/worker/dataset/image_folder.h"
#include "server/worker/dataset/image_geometry.h"

namespace stockpot {
namespace {

class ImageDataSet final : public DataSet {
 public:
  ImageDataSet(ImageFolder folder, CachedImages images)
      : class_names_(std::move(folder.class_names)),
        images_(std::move(images)),
        inputs_({images_.input}) {
    for (const ImageFile& file : folder.files) labels_.push_back(file.label);
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  absl::Span<const int64_t> labels() const override { return labels_; }
  int64_t class_count() const override { return static_cast<int64_t>(class_names_.size()); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  const char* example(size_t, int64_t i) const override {
    return images_.examples() + static_cast<size_t>(i) * inputs_[0].byte_count;
  }
  const std::string& digest() const override { return images_.digest; }

 private:
  const std::vector<std::string> class_names_;
  const CachedImages images_;
  const std::vector<InputInfo> inputs_;
  std::vector<int64_t> labels_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageDataSet(const DataSetSource& source,
                                                                const CacheFolder& cache,
                                                                const DataSetLimits& limits,
                                                                const Progress& progress) {
  RETURN_IF_ERROR(CheckGeometry(source.geometry));
  ASSIGN_OR_RETURN(ImageFolder folder, ListImageFolder(source.path, source.class_names, limits));
  const std::string key = ImageCacheKey(folder, source);
  const std::string name = key + ".images";
  const auto open = [&] {
    return OpenCachedImages(cache.PathOf(name), key, folder.files.size(), source.image_input);
  };
  absl::StatusOr<CachedImages> images = open();
  if (!images.ok()) {
    {
      ASSIGN_OR_RETURN(const CacheFolder::BuildLock lock, cache.LockForBuild(name));
      images = open();  // somebody may have built it while we waited
      if (!images.ok()) {
        RETURN_IF_ERROR(BuildCachedImages(folder, source, limits, key, cache, name, progress));
        images = open();
      }
    }
    cache.Evict(limits.max_cache_bytes, name);
  }
  if (!images.ok()) return Annotate(images.status(), "data cache");
  cache.Touch(name);
  return std::make_shared<const ImageDataSet>(std::move(folder), *std::move(images));
}

}  // namespace stockpot
