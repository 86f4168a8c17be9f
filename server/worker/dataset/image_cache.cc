#include "server/worker/dataset/image_cache.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/digest.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/dataset/content_digest.h"
#include "server/worker/dataset/image_loader.h"

namespace stockpot {
namespace {

constexpr absl::string_view kMagic = "SPIMAGE1";
constexpr size_t kHexDigest = 64;
constexpr size_t kSizesAt = 8 + 2 * kHexDigest;
constexpr size_t kSumAt = kSizesAt + 3 * sizeof(uint64_t);
constexpr size_t kPixelsAt = 4096;

std::string EncodeNumber(uint64_t value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

uint64_t DecodeNumber(absl::string_view bytes) {
  uint64_t value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string EncodeHeader(const std::string& key, const std::string& digest, uint64_t examples,
                         const PixelSize& size) {
  std::string header = absl::StrCat(kMagic, key, digest, EncodeNumber(examples),
                                    EncodeNumber(size.height), EncodeNumber(size.width));
  absl::StrAppend(&header, Sha256Hex(header));
  return header;
}

// One build: decoded images on their way into a file.
class Builder {
 public:
  Builder(const ListedImages& images, const DataSetSource& source, const DataSetLimits& limits)
      : images_(images), source_(source), loader_(images, source.geometry, limits) {}

  absl::Status Build(const std::string& key, const CacheFolder& cache, const std::string& name,
                     const Progress& progress) {
    ASSIGN_OR_RETURN(size_, loader_.FindSize());
    const uint64_t example_bytes = size_.byte_count();
    ASSIGN_OR_RETURN(CacheFolder::PartialFile file,
                     cache.CreatePartial(name, CachedImageBytes(images_.examples.size(), size_)));
    const auto convert = [&](size_t i) -> absl::Status {
      std::string planes(example_bytes, '\0');
      RETURN_IF_ERROR(loader_.Load(i, size_, planes.data()));
      return file.WriteAt(planes, kPixelsAt + i * example_bytes);
    };
    RETURN_IF_ERROR(ForEachInParallel(images_.examples.size(), convert, progress));
    RETURN_IF_ERROR(images_.source->CheckUnchanged());
    ASSIGN_OR_RETURN(const std::string digest, Digest(file.path()));
    RETURN_IF_ERROR(file.WriteAt(EncodeHeader(key, digest, images_.examples.size(), size_), 0));
    return file.Commit();
  }

 private:
  absl::StatusOr<std::string> Digest(const std::string& path) const {
    ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
    file->WillReadSequentially();
    Labels labels;
    labels.example_count = static_cast<int64_t>(images_.examples.size());
    labels.integers = images_.labels;
    const InputInfo input = DescribeImages(source_.image_input, size_);
    return ContentDigest({input}, {file->bytes().data() + kPixelsAt}, labels, /*lengths=*/{},
                         images_.weights);
  }

  const ListedImages& images_;
  const DataSetSource& source_;
  const ImageLoader loader_;
  PixelSize size_;
};

}  // namespace

uint64_t CachedImageBytes(size_t examples, const PixelSize& size) {
  return kPixelsAt + examples * size.byte_count();
}

std::string ImageCacheKey(const ListedImages& images, const DataSetSource& source) {
  const ImageGeometry& geometry = source.geometry;
  Sha256 key;
  key.UpdateField(kMagic)
      .UpdateField(source.image_input)
      .UpdateField(absl::StrCat(
          geometry.resize_shorter_side, " ", geometry.resize_height, " ", geometry.resize_width,
          " ", static_cast<int>(geometry.interpolation), " ", geometry.antialias, " ",
          geometry.crop_height, " ", geometry.crop_width, " ", geometry.crop_rounds_down));
  images.source->AddToKey(&key);
  key.UpdateFieldSize(images.examples.size());
  for (size_t k = 0; k < images.examples.size(); ++k) {
    key.Update(EncodeNumber(images.examples[k]))
        .Update(EncodeNumber(static_cast<uint64_t>(images.labels[k])));
  }
  // The digest in the file is of them too.
  if (!images.weights.empty()) key.UpdateField("weights");
  for (const double weight : images.weights) key.UpdateField(absl::StrFormat("%a", weight));
  return key.Finish();
}

const char* CachedImages::examples() const { return file->bytes().data() + kPixelsAt; }

absl::StatusOr<CachedImages> OpenCachedImages(const std::string& path, const std::string& key,
                                              size_t examples, const std::string& input_name) {
  ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  const absl::string_view bytes = file->bytes();
  if (bytes.size() < kPixelsAt || !absl::StartsWith(bytes, absl::StrCat(kMagic, key)) ||
      bytes.substr(kSumAt, kHexDigest) != Sha256Hex(bytes.substr(0, kSumAt))) {
    return absl::DataLossError("damaged cache header");
  }
  // The sum shows that we wrote these numbers, so that their product cannot overflow.
  const uint64_t height = DecodeNumber(bytes.substr(kSizesAt + 8));
  const uint64_t width = DecodeNumber(bytes.substr(kSizesAt + 16));
  InputInfo input = DescribeImages(input_name, {height, width});
  if (DecodeNumber(bytes.substr(kSizesAt)) != examples ||
      bytes.size() != kPixelsAt + examples * input.byte_count) {
    return absl::DataLossError("damaged cache file");
  }
  return CachedImages{file, std::move(input),
                      std::string(bytes.substr(8 + kHexDigest, kHexDigest))};
}

absl::Status BuildCachedImages(const ListedImages& images, const DataSetSource& source,
                               const DataSetLimits& limits, const std::string& key,
                               const CacheFolder& cache, const std::string& name,
                               const Progress& progress) {
  return Builder(images, source, limits).Build(key, cache, name, progress);
}

}  // namespace stockpot
