// A data set's classifier, opened from its URI as a checkpoint is. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_CLASSIFIER_SOURCE_H_
#define STOCKPOT_SERVER_WORKER_SESSION_CLASSIFIER_SOURCE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/evaluation/output_options.h"
#include "server/worker/session/sources.h"
#include "stockpot/v1/spec.pb.h"

namespace stockpot {

struct ClassifierSource {
  LinearClassifier classifier;
  std::string digest;  // SHA-256 over both tensors, as of a checkpoint that holds them alone
  int64_t class_count = 0;
  int64_t feature_count = 0;
  std::string pinned_uri;  // as Sources::Checkpoint has it
};

// Errors: of Sources::OpenCheckpoint; INVALID_ARGUMENT (reason DATA_SET_INVALID, metadata tensor) a
// missing tensor, one that is not floating-point and finite, or a shape that is not
// [classes, features] and [classes].
absl::StatusOr<ClassifierSource> OpenClassifier(const v1::Classifier& classifier, Sources* sources,
                                                const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_CLASSIFIER_SOURCE_H_
