// Which of N examples are taken: a seeded subset or what it leaves, then the first so many.
// Source: spec.proto's Subset states the algorithm. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_SELECTION_H_
#define STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_SELECTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

// Whether `selection` can leave an example out.
bool Selects(const ExampleSelection& selection);

// Positions among `candidates`, ascending; at least one.
// Errors: INVALID_ARGUMENT: more asked for than there is (DATA_SET_INVALID), nothing left
// (DATA_SET_EMPTY).
absl::StatusOr<std::vector<size_t>> SelectExamples(size_t candidates,
                                                   const ExampleSelection& selection);

// The selection as text, for keys of caches.
std::string DescribeSelection(const ExampleSelection& selection);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_EXAMPLE_SELECTION_H_
