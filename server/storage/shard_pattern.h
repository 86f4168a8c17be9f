// URIs with brace ranges, as WebDataset writes them: "train-{00000..00012}.tar" names 13 files. Any
// number of ranges; the last one counts fastest. Numbers keep the width of the first one.
// Source: bash's brace expansion, of numbers alone: neither lists nor letters nor steps.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_SHARD_PATTERN_H_
#define STOCKPOT_SERVER_STORAGE_SHARD_PATTERN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// `uri` alone where it has no brace.
// Errors: INVALID_ARGUMENT (reason INVALID_FIELD) a brace without a range, a range that falls, more
// than `max_files`.
absl::StatusOr<std::vector<std::string>> ExpandShards(absl::string_view uri,
                                                      size_t max_files = 100'000);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_SHARD_PATTERN_H_
