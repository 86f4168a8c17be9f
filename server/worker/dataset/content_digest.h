// The digest that names a data set by its content: equal examples, equal digest, whatever the files
// they came from. Class names and the class count are not part of it.
//
// SHA-256 over length-prefixed fields (Sha256::UpdateField): "stockpot data set 1"; the labels as
// int64 little-endian; then for each input in byte order of its name: name, dtype name, shape of
// one example as int64 little-endian, and the bytes of all examples in order. Other labels than
// classes change the first field: "stockpot data set 1, numbers" is followed by float64 labels,
// "stockpot data set 1, tokens" by the length as int64 and then the labels. Where inputs differ in
// length there follow, last, "lengths", those of all examples as int64, and for each such input, in
// the same order, what it is padded with as float64. Where examples have weights there follow
// "weights" and these as float64.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_CONTENT_DIGEST_H_
#define STOCKPOT_SERVER_WORKER_DATASET_CONTENT_DIGEST_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/labels.h"

namespace stockpot {

// `inputs[k]` describes the examples that begin at `examples[k]`; `lengths` are empty where none
// differ, `weights` where there are none. Thread-safe.
std::string ContentDigest(const std::vector<InputInfo>& inputs,
                          const std::vector<const char*>& examples, const Labels& labels,
                          const std::vector<int64_t>& lengths, const std::vector<double>& weights);

// The same of one input of one length whose bytes are not all there at once: `give` gives those of
// all examples, in their order, to what it is called with. Errors: of `give`.
absl::StatusOr<std::string> ContentDigestOfParts(
    const InputInfo& input, const Labels& labels, const std::vector<double>& weights,
    const std::function<absl::Status(const std::function<void(absl::string_view)>&)>& give);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_CONTENT_DIGEST_H_
