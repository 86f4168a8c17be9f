// `--set FIELD=VALUE`: single fields of a job, over what its file and flags say.
//
//   --set limits.max_evaluations=40
//   --set 'evaluation.report_sets[0].class_subset=[3, 5]'
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_SETTINGS_H_
#define STOCKPOT_CLIENT_CLI_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

// FIELD is the path of a field of JobSpec, as errors and job files write it; an index one beyond
// the last adds an element. VALUE is YAML, so that it may be a list or a map; it takes the place of
// what was there. One after the other, so that a later one wins. Relative paths are taken from the
// working folder. Errors: INVALID_ARGUMENT that names the setting.
absl::Status ApplySettings(const std::vector<std::string>& settings, v1::Job& job);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_SETTINGS_H_
