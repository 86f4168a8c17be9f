// A merge's plan and result, for people and for scripts.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_MERGE_MERGE_REPORT_H_
#define STOCKPOT_SERVER_WORKER_MERGE_MERGE_REPORT_H_

#include <string>

#include "server/base/json_reader.h"
#include "server/worker/merge/merge.h"

namespace stockpot {

// Several lines, each ended.
std::string PlanText(const MergePlan& plan);
std::string ResultText(const MergePlan& plan, const MergeResult& result, double seconds,
                       uint64_t peak_bytes);

// {"plan": …}; members are named as MergePlan's.
Json PlanJson(const MergePlan& plan);
// {"files": [{"path", "byte_count", "sha256"}], "ingredient_digests": […], "seconds",
// "peak_bytes"}
Json ResultJson(const MergeResult& result, double seconds, uint64_t peak_bytes);

// The most resident memory this process had so far, anonymous and mapped files together, in bytes
// (VmHWM of /proc/self/status); 0 where the system does not say.
uint64_t PeakResidentBytes();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_MERGE_MERGE_REPORT_H_
