// A job file: the proto's JSON mapping (field names as in proto/stockpot/v1/spec.proto), written as
// YAML or JSON, of a JobSpec, or of a Job when it has `spec`.
//
//   model: {architecture_uri: arch.pt}
//   ingredients: [{uri: checkpoints/a.safetensors}, {uri: checkpoints/b.safetensors}]
//   evaluation: {held_out: {uri: held_out}}
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_JOB_FILE_H_
#define STOCKPOT_CLIENT_CLI_JOB_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/document.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

enum class JobFileFormat { kYaml, kJson };

// What the server sets (name, state, report, …) is left out, so that what `stockpot get --json`
// says of a job makes another one like it. Relative paths are taken from `folder`. Errors:
// INVALID_ARGUMENT with line, column and field path, all at once.
absl::StatusOr<v1::Job> ParseJobFile(const std::string& text, JobFileFormat format,
                                     const std::string& folder);

// The same from a tree. Errors: of ParseJobFile, with the places that the tree has.
absl::StatusOr<v1::Job> ReadJobDocument(Document document, const std::string& folder);

// Reads `path`; JSON when it ends in .json, else YAML. Relative paths are taken from its folder.
// Errors: as above, and NOT_FOUND; all with the path in front.
absl::StatusOr<v1::Job> ReadJobFile(const std::string& path);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_JOB_FILE_H_
