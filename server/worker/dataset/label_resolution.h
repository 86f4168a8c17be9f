// From the labels that a source has, numbers or names, to the classes of a data set.
//
// spec.proto says what label_map and class_names mean. In short: a label_map says the set's label
// for each of the source's; class names, where given, are the classes in order; names without such
// an order get the byte order; numbers stay what they are. What is mixed is refused: among numbers
// a single "1.0", or an empty field, would make names of all, in another order ("10" before "2").
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_LABEL_RESOLUTION_H_
#define STOCKPOT_SERVER_WORKER_DATASET_LABEL_RESOLUTION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// One label for each example.
struct RawLabels {
  std::vector<int64_t> numbers;    // where there are names: which of them
  std::vector<std::string> names;  // empty: the numbers are all there is
  bool in_order = false;           // the order of the names is that of the classes
};

// Gathers labels that are text.
class TextLabels {
 public:
  void Add(absl::string_view text);
  RawLabels Take() { return std::move(labels_); }

 private:
  RawLabels labels_;
  absl::flat_hash_map<std::string, int64_t> known_;
};

struct ResolvedLabels {
  static constexpr int64_t kLeftOut = -1;
  std::vector<int64_t> classes;          // one for each example, from 0, or kLeftOut
  std::vector<std::string> class_names;  // in label order; may be empty
};

// `name_of` says which example is at fault.
// Errors: INVALID_ARGUMENT, reason LABEL_OUT_OF_RANGE for a number that is no class (negative, or
// beyond the names), else DATA_SET_INVALID: a label that is not in the map or not among the names,
// names given twice, an empty label, numbers among names that have no order.
absl::StatusOr<ResolvedLabels> ResolveLabels(const RawLabels& raw,
                                             const std::vector<std::string>& class_names,
                                             const std::map<std::string, std::string>& label_map,
                                             const std::function<std::string(size_t)>& name_of);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_LABEL_RESOLUTION_H_
