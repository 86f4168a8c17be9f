// Labelled images of any format, listed without decoding one.
//
// An ImageSource says what examples there are and gives their encoded bytes; which of them make the
// data set, and under which classes, ListImages() decides the same way for every format.
// Thread safety: an ImageSource is immutable, its functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_SOURCE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/base/digest.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/label_resolution.h"

namespace stockpot {

class ImageSource {
 public:
  // The encoded bytes of an example, and what keeps them.
  struct Encoded {
    absl::string_view bytes;
    std::shared_ptr<const void> owner;
  };

  virtual ~ImageSource() = default;

  virtual size_t size() const = 0;
  // One for each example.
  virtual const RawLabels& labels() const = 0;
  // One for each example, finite and not negative; none where they have no weights.
  virtual absl::Span<const double> weights() const { return {}; }
  // What people call example `i`: the path below the data set, or its row.
  virtual std::string NameOf(size_t i) const = 0;
  // Best called in about the order of the examples: sources that are compressed decompress a
  // stretch of them at once. Errors: of reading; reason IMAGE_UNREADABLE unless it has another.
  virtual absl::StatusOr<Encoded> Read(size_t i) const = 0;

  // Adds all that the names, labels and bytes depend on: paths, sizes and times of change.
  virtual void AddToKey(Sha256* key) const = 0;
  // Whether Read() costs the same whatever was read before.
  virtual bool reads_well_in_any_order() const { return true; }
  // INVALID_ARGUMENT (DATA_SET_INVALID) when that is no longer so.
  virtual absl::Status CheckUnchanged() const = 0;
};

// The examples of a data set.
struct ListedImages {
  std::shared_ptr<const ImageSource> source;
  std::vector<size_t> examples;          // of the source, ascending
  std::vector<int64_t> labels;           // one for each of `examples`
  std::vector<double> weights;           // the same, or none
  std::vector<std::string> class_names;  // in label order; may be empty

  std::string NameOf(size_t k) const { return source->NameOf(examples[k]); }
};

// Resolves labels, and selects. Errors: of ResolveLabels, SelectExamples and CheckWeights.
absl::StatusOr<ListedImages> ListImages(std::shared_ptr<const ImageSource> images,
                                        const DataSetSource& source);

// INVALID_ARGUMENT, reason DATA_SET_INVALID: what CheckUnchanged() gives.
absl::Status ChangedWhileRead();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_SOURCE_H_
