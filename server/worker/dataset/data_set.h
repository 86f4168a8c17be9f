// worker/dataset: labelled examples, decoded once and memory-mapped.
//
// A DataSet is N examples of one or more named inputs plus their labels: a class each, or a number,
// or a token at each position (labels.h). Images, of whatever format, are decoded (exactly as
// Pillow does), resized and cropped to uint8 [channels, height, width]; named tensors are taken as
// they are. Scaling to [0, 1] and normalising with mean and standard deviation happen at evaluation
// time, so the cache keeps the bytes small and is shared by jobs.
//
//   format     listed by                                    becomes
//   folder     image_folder.h                               images
//   WebDataset tar_images.h over tar_reader.h               images
//   manifest   manifest_images.h over manifest_reader.h     images
//   JSON lines json_rows.h, where there are no paths        tensors
//   Parquet    parquet_source.h over parquet_file.h         images or tensors
//   tensors    checkpoint/state_dict.h                      tensors
//   NumPy      numpy_file.h                                 tensors
//
// Images of every format are an ImageSource (image_source.h), and go through label_resolution.h,
// example_selection.h and image_cache.h. Tensors that are not used as the file has them are
// written to the cache first (tensor_cache.h).
//
// Images that are larger than the cache may be are streamed: decoded anew in every pass
// (streamed_images.h).
//
// Source: torchvision's Resize / CenterCrop / ImageFolder for meaning, Pillow for pixels.
// Ownership: a DataSet keeps its mapping; pointers live as long as it does, but for Bring().
// Thread safety: immutable after creation, but for Bring().
#ifndef STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/base/work_counters.h"
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
  // Where half of what is cropped away is no whole number: rounded down, as by transformers' image
  // processors, instead of to even.
  bool crop_rounds_down = false;

  friend bool operator==(const ImageGeometry& a, const ImageGeometry& b) = default;
};

// A choice of examples, of what has a label of the set: first `subset`, then `limit`.
// spec.proto's Subset says which examples a seed chooses.
struct ExampleSelection {
  bool draws = false;   // whether there is a subset
  double fraction = 0;  // 0: count
  int64_t count = 0;
  uint64_t seed = 0;
  bool complement = false;
  int64_t limit = 0;  // 0: all
};

// A file of a data set that is on this host: `name` is what errors and the order go by.
struct SourceFile {
  std::string name;
  std::string path;
};

struct DataSetSource {
  enum class Kind { kImageFolder, kTensors, kParquet, kWebDataset, kNumpy, kCsv, kJsonLines };
  Kind kind = Kind::kImageFolder;
  // kImageFolder: the folder. kCsv, kJsonLines: the manifest, whose paths are below `folder`, or
  // URIs, of which there are copies in `uri_folder` (manifest_images.h).
  // kTensors, kNumpy: the file; kNumpy and kParquet: or a folder of them.
  std::string path;
  // kWebDataset: the tar files in order. kParquet: the files; empty: `path`.
  std::vector<SourceFile> files;
  std::string folder, uri_folder;
  ImageGeometry geometry;
  // Images: class names in label order. kImageFolder: empty: folder names in byte order; a folder
  // that is not among them is an error, a name without a folder is a class without examples.
  std::vector<std::string> class_names;
  std::map<std::string, std::string> label_map;  // as spec.proto's
  ExampleSelection selection;
  std::string image_input = "images";  // the input's name
  std::string image_column, split;     // as spec.proto's; "": its default
  // The tensor or column with the labels; kWebDataset: the extension. "": the format's default.
  // Labels of tensors are read as labels.h says; all others are inputs [N, …], unless `inputs`
  // names which and in what order.
  std::string label_tensor;
  std::vector<std::string> inputs;
  // What fills inputs of differing length behind their end, by name. None: 0.
  std::map<std::string, double> pad_values;
  // Whether the files stay where they are for as long as the data set is used, so that images may
  // be read again in every pass.
  bool files_stay = true;
  // What holds the weights, as spec.proto says; no input. "": none. A folder of images has none.
  std::string weight_tensor;
};

struct DataSetLimits {
  uint64_t max_examples = 100'000'000;      // and labels
  uint64_t max_image_pixels = 178'956'970;  // Pillow's own bound against decompression bombs
  uint64_t max_file_bytes = 256ull << 20;   // of one encoded image
  uint64_t max_files = 100'000;             // shards of a set
  uint64_t max_line_bytes = 1 << 20;        // of a manifest
  uint64_t max_length = 1 << 16;            // of a list, where they differ in length
  uint64_t max_manifest_bytes = 4ull << 30;
  // Of a Parquet row group, decompressed: of what is read of it at once.
  uint64_t max_row_group_bytes = 4ull << 30;
  // Of all cached data sets together; the least recently used go first. 0: no bound. Images that
  // are more are streamed if their files stay; other sets that are more are kept until the next.
  uint64_t max_cache_bytes = 50'000'000'000;
  // What a pass over streamed images decodes ahead, at most what the cache may take; but always two
  // images for each core.
  uint64_t max_ahead_bytes = 256ull << 20;
};

// In a shape: as many as the example has.
inline constexpr int64_t kAnyLength = -1;

struct InputInfo {
  std::string name;
  DType dtype = DType::kUint8;
  // Of one example, such as [3, 32, 32]; [kAnyLength, …] where examples differ in length.
  std::vector<int64_t> shape;
  size_t byte_count = 0;  // of one example; of one position where examples differ in length
  double pad_value = 0;   // what fills it behind its end, to make a batch; `dtype` can hold it

  bool varies() const { return !shape.empty() && shape[0] == kAnyLength; }
};

class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual int64_t size() const = 0;
  virtual const std::vector<InputInfo>& inputs() const = 0;
  // Of inputs that differ in length: how many positions example `i` has, the same in each of them
  // and in labels that are tokens; at least 1. 0: none differ.
  virtual int64_t length(int64_t /*i*/) const { return 0; }
  // Whether its only input was made from encoded images.
  virtual bool has_images() const { return false; }
  virtual LabelKind label_kind() const { return LabelKind::kClasses; }
  // size() of kClasses, size() times the longest length of kTokens (kIgnoredToken behind the end of
  // shorter ones), none of kNumbers.
  virtual absl::Span<const int64_t> labels() const = 0;
  // size() of kNumbers, none of the others.
  virtual absl::Span<const double> targets() const { return {}; }
  // Where examples have weights: one for each label, or target; finite, none negative, their sum
  // positive; 0 of kIgnoredToken. Else none.
  virtual absl::Span<const double> weights() const { return {}; }
  // Largest label + 1, or the number of class names where they are known; 0 of kNumbers.
  virtual int64_t class_count() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;  // empty for tensors
  // Example `i` of input `k`: inputs()[k].byte_count bytes, or so many for each of length(i)
  // positions; examples are adjacent in memory, but of a set that is streamed.
  virtual const char* example(size_t k, int64_t i) const = 0;

  // Whether example() gives only what Bring() brought last. One pass at a time may read such a set,
  // on one thread: Bring() and WillBring() are its.
  virtual bool is_streamed() const { return false; }
  // Makes these examples ready; whoever reads calls it for each batch. Errors, of a streamed set:
  // as OpenDataSet of its images.
  virtual absl::Status Bring(absl::Span<const int64_t> /*examples*/) const {
    return absl::OkStatus();
  }
  // What will be brought, in this order: it is made ahead while the result lives, not beyond the
  // set. Null: there is nothing to do.
  virtual std::shared_ptr<const void> WillBring(absl::Span<const int64_t> /*order*/) const {
    return nullptr;
  }
  // To be asked after a pass, before its result is used: whether what was brought is what the
  // digest is of. Errors: INVALID_ARGUMENT (DATA_SET_INVALID).
  virtual absl::Status CheckUnchanged() const { return absl::OkStatus(); }
  // False: in another order than its own it takes much longer.
  virtual bool reads_well_in_any_order() const { return true; }
  // SHA-256 of names, shapes, labels and bytes as evaluated: equal content, equal digest, whatever
  // the file format.
  virtual const std::string& digest() const = 0;
};

// Opens a data set, through the cache folder: decoded content lives in one file per distinct source
// (path, size, time of change, geometry and selection), is built under a temporary name and
// renamed, and is shared by all processes of the host.
// Errors, each naming the file at fault: NOT_FOUND; INVALID_ARGUMENT empty, unreadable image, label
// out of range (negative), sizes that differ, missing tensors, over the limits; RESOURCE_EXHAUSTED
// out of memory or disk, which may pass.
// Reasons: DATA_SET_NOT_FOUND, DATA_SET_EMPTY, IMAGE_UNREADABLE, LABEL_OUT_OF_RANGE,
// DATA_SET_INVALID, OUT_OF_MEMORY, DISK_FULL; or what `progress` gave, which counts the images that
// are decoded. `fail_points` (may be null): "cache_file_written". `counters` (may be null) hears of
// the cache and of the time that decoding takes.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenDataSet(const DataSetSource& source,
                                                           const std::string& cache_folder,
                                                           const DataSetLimits& limits,
                                                           const Progress& progress = Unwatched,
                                                           const FailPoints* fail_points = nullptr,
                                                           WorkCounters* counters = nullptr);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_DATA_SET_H_
