// manifest.json: how a soup was made, and all that is needed to make it again. Written last: a
// folder with a manifest is whole.
//
//   {"manifest_version": 1, "job", "software",
//    "spec": JobSpec as the client gave it,
//    "soup": {"write": worker.v1.WriteSoup without folder: the ingredients by URI and content
//    digest in
//                      the order they were added, coefficients (none: uniform), dtype, format,
//                      metadata;
//             "content_digest": SHA-256 over the tensors,
//             "files": [{"file", "size_bytes", "sha256"}]},
//    "files": the same of every other artifact,
//    "result": ReportResult: every score, digests of data sets and architecture, coefficients}
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_MANIFEST_H_
#define STOCKPOT_SERVER_CONTROL_JOB_MANIFEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/json_reader.h"
#include "server/control/job/store.h"
#include "server/recipe/plan.h"

namespace stockpot {

inline constexpr char kManifestFile[] = "manifest.json";
// A thousand ingredients on a hundred data sets come to about half of it.
inline constexpr size_t kMaxManifestBytes = size_t{64} << 20;

// `decision` is the job's last; `files` are the artifacts that are not the soup's.
Json MakeManifest(const JobRecord& job, const std::string& software, const PlanDecision& decision,
                  const Json& result, const Json& files);

// What has to come out when a manifest's soup is made again.
struct SoupVerification {
  Task task;  // a write_soup that is discarded; its result is read by ReadSoupFound
  std::string content_digest;   // of the soup that was written
  std::vector<SoupFile> files;  // the soup's own files
};

// Reads a manifest from outside. Errors: INVALID_ARGUMENT, reason MANIFEST_INVALID.
absl::StatusOr<SoupVerification> ReadManifest(const Json& manifest);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_MANIFEST_H_
