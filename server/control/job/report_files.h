// What a finished job leaves: its report, and in its artifact folder, beside what the worker wrote
// (soup.safetensors), two files:
//
//   report.json     the report: {"result": …, "cost": …}, JSON mapping of stockpot.v1.Report
//   manifest.json   how to make the soup again: {"job", "software", "recipe", "numerics",
//                   "spec": …, "soup": {"sha256", "content_digest", "ingredients":
//                   [{"display_name", "uri", "digest", "coefficient"}]}}
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_
#define STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/base/json_reader.h"
#include "server/control/job/job_run.h"

namespace stockpot {

Json MakeReport(const JobRun& run, absl::Time now);

// Writes both files durably; returns the job's artifacts, the worker's and these. Errors: as
// base/files.h.
absl::StatusOr<Json> WriteReportFiles(const JobRecord& job, const JobRun& run, const Json& report,
                                      const std::string& software, const std::string& folder);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_
