// Work on several cores.
#ifndef STOCKPOT_SERVER_BASE_PARALLEL_H_
#define STOCKPOT_SERVER_BASE_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "server/base/progress.h"

namespace stockpot {

// Calls `body(i)` for i in [0, count) from several threads; after an error no new index is begun.
// The error of the smallest failing index is returned, whatever the timing. `body` is called
// concurrently; exceptions of memory become RESOURCE_EXHAUSTED. `progress` counts finished calls;
// it is called from any of the threads, but from one at a time. Indexes are begun in order.
// `threads`: at most so many; 0: one for each core.
absl::Status ForEachInParallel(size_t count, const std::function<absl::Status(size_t)>& body,
                               const Progress& progress = Unwatched, int threads = 0);

// Calls `work`, which throws nothing, on so many threads at once, this one among them, and waits
// for all. A system that gives fewer threads is only slower.
void OnThreads(int count, const std::function<void()>& work);

// What 0 threads stand for.
int CoreCount();

// Calls `body`; running out of memory (reason OUT_OF_MEMORY) or threads becomes RESOURCE_EXHAUSTED,
// any other exception INTERNAL.
absl::Status Guard(const std::function<absl::Status()>& body);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_PARALLEL_H_
