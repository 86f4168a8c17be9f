// worker/dataset: labelled examples, decoded once and memory-mapped.
//
// A DataSet is N examples of one or more named inputs plus their labels: a class each, or a number,
// or a token at each position (labels.h). Image folders are decoded (exactly as Pillow does),
// resized and cropped to uint8 [channels, height, width]; named tensors are taken as they are.
// Scaling to [0, 1] and normalising with mean and standard deviation happen at evaluation time, so
// the cache keeps the bytes small and is shared by jobs.
//
// Source: torchvision's Resize / CenterCrop / ImageFolder for meaning, Pillow for pixels.
// Ownership: a DataSet keeps its mapping; pointers live as long as it does.
// Thread safety: immutable after creation.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/worker/checkpoint/state_dict.h"  // DType
#include "server/worker/dataset/labels.h"

namespace stockpot {

enum class Interpolation { kBicubic, kBilinear };

// What is done to an image before it is cached; ignored for tensors. Zero means "not done".
struct ImageGeometry {
  int resize_shorter_side = 0;              // keeps the aspect ratio, as torchvision's Resize(int)
  int resize_height = 0, resize_width = 0;  // exact size, as Resize((h, w)); excludes the above
  Interpolation interpolation = Interpolation::kBicubic;
  bool antialias = true;
  int crop_height = 0, crop_width = 0;  // centre crop, as torchvision's CenterCrop
};

struct DataSetSource {
  enum class Kind { kImageFolder, kTensors };
  Kind kind = Kind::kImageFolder;
  std::string path;  // folder of CLASS/file, or a safetensors file
  ImageGeometry geometry;
  // kImageFolder: class names in label order; empty: folder names in byte order. A folder that is
  // not among them is an error, a name without a folder is a class without examples.
  std::vector<std::string> class_names;
  std::string image_input = "images";  // the input's name
  // kTensors: the tensor that holds the labels, as labels.h reads them; all others are inputs
  // [N, …], unless `inputs` names which and in what order.
  std::string label_tensor = "labels";
  std::vector<std::string> inputs;
};

struct DataSetLimits {
  uint64_t max_examples = 100'000'000;      // and labels
  uint64_t max_image_pixels = 178'956'970;  // Pillow's own bound against decompression bombs
  uint64_t max_file_bytes = 256ull << 20;   // of one encoded image
  // Of all cached data sets together; the least recently used go first. 0: no bound.
  uint64_t max_cache_bytes = 50'000'000'000;
};

struct InputInfo {
  std::string name;
  DType dtype = DType::kUint8;
  std::vector<int64_t> shape;  // of one example, such as [3, 32, 32]
  size_t byte_count = 0;       // of one example
};

class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual int64_t size() const = 0;
  virtual const std::vector<InputInfo>& inputs() const = 0;
  virtual LabelKind label_kind() const { return LabelKind::kClasses; }
  // size() of kClasses, size() times the length of kTokens, none of kNumbers.
  virtual absl::Span<const int64_t> labels() const = 0;
  // size() of kNumbers, none of the others.
  virtual absl::Span<const double> targets() const { return {}; }
  // Largest label + 1, or the number of class names where they are known; 0 of kNumbers.
  virtual int64_t class_count() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;  // empty for tensors
  // Example `i` of input `k`: inputs()[k].byte_count bytes; examples are adjacent in memory.
  virtual const char* example(size_t k, int64_t i) const = 0;
  // SHA-256 of names, shapes, labels and bytes as evaluated: equal content, equal digest, whatever
  // the file format.
  virtual const std::string& digest() const = 0;
};

// Opens a data set, through the cache folder: decoded content lives in one file per distinct source
// (path, size, time of change and geometry), is built under a temporary name and renamed, and is
// shared by all processes of the host.
// Errors, each naming the file at fault: NOT_FOUND; INVALID_ARGUMENT empty, unreadable image, label
// out of range (negative), sizes that differ, missing tensors, over the limits; RESOURCE_EXHAUSTED
// out of memory or disk, which may pass.
// Reasons: DATA_SET_NOT_FOUND, DATA_SET_EMPTY, IMAGE_UNREADABLE, LABEL_OUT_OF_RANGE,
// DATA_SET_INVALID, OUT_OF_MEMORY, DISK_FULL; or what `progress` gave, which counts the images that
// are decoded. `fail_points` (may be null): "cache_file_written".
absl::StatusOr<std::shared_ptr<const DataSet>> OpenDataSet(const DataSetSource& source,
                                                           const std::string& cache_folder,
                                                           const DataSetLimits& limits,
                                                           const Progress& progress = Unwatched,
                                                           const FailPoints* fail_points = nullptr);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_
