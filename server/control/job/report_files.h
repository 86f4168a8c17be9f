// What a finished job leaves: its report, and in its artifact folder, beside what the worker wrote
// (the soup):
//
//   report.json     the report: {"result": …, "cost": …}, JSON mapping of stockpot.v1.Report
//   README.md       a model card (model_card.h)
//   manifest.json   how to make the soup again (manifest.h); the last file, so that it means: whole
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_
#define STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/json_reader.h"
#include "server/control/job/job_run.h"

namespace stockpot {

Json MakeReport(const JobRun& run, absl::Time now);

// Writes the files durably; returns the job's artifacts, the worker's and these. `reached` is told
// of fail points. Errors: as base/files.h.
absl::StatusOr<Json> WriteReportFiles(const JobRecord& job, const JobRun& run, const Json& report,
                                      const std::string& software, const std::string& folder,
                                      const std::function<void(const char*)>& reached);

// Whether a job's output_folder is a URI: such artifacts are written to the server's data folder,
// and a worker copies them there.
bool IsRemoteFolder(const std::string& output_folder);

// ALREADY_EXISTS (OUTPUT_EXISTS) when `folder`, an output_uri, holds the artifacts of another job
// than `job`. OK when it is empty or not there, or a URI, which is a worker's to look at.
absl::Status CheckOutputFolder(const std::string& folder, const std::string& job);
absl::Status OutputExists(const std::string& message);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_REPORT_FILES_H_
