// What a worker would find, made up from the task alone: the same task always gives the same fact.
// Every checkpoint and data set exists and fits, unless its URI says otherwise:
//
//   …bad…      cannot be read (NOT_FOUND)          …misfit…   a tensor of another shape
//   …oom…      its measures run out of memory unless batches are of 125 examples or fewer
//   …same-N…   equal in content to every other same-N   …nan…  its measures fail (DATA_LOSS)
//   …norm…     an architecture with BatchNorm layers
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_RESULTS_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_RESULTS_H_

#include <string>
#include <vector>

#include "server/recipe/task.h"

namespace stockpot {

inline constexpr char kFakeNumerics[] = "cpu fake";
inline constexpr int kFakeExampleCount = 1000;

Fact FakeResult(const Task& task);

// A greedy job over these checkpoints, with a held-out set and one report set; `extra` is merged
// into it (JSON mapping of stockpot.v1.JobSpec).
Json FakeSpec(const std::vector<std::string>& uris, const Json& extra = Json::object());
// "/sweep/m00.safetensors" and so on.
std::vector<std::string> FakeUris(int count);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_RESULTS_H_
