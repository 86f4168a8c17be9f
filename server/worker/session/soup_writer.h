// Writes the files of a soup. Thread safety: the function is thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_

#include "absl/status/statusor.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/worker/session/blend_source.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// Writes `blend` in the format and with the metadata that `task` says, tensor by tensor, in bounded
// memory. The files are made in a scratch folder below task.folder(), synced, read back, then
// renamed, an index last, so that each name stands for a whole file at any time. Files of an
// earlier attempt are replaced; a failure leaves nothing. With task.discard() nothing is kept: the
// files' bytes are made and summed, no more.
// `progress` counts tensors, those read back too. `fail_points` (may be null): "soup_written",
// "soup_renamed", neither with discard().
// Errors: of BlendTensor, the writers and the file system; INVALID_ARGUMENT an unknown format;
// DATA_LOSS what is read back is not what was written; what `progress` gave.
absl::StatusOr<worker::v1::SoupFiles> WriteSoupFiles(const BlendSource& blend,
                                                     const worker::v1::WriteSoup& task,
                                                     const CheckpointLimits& limits,
                                                     const Progress& progress,
                                                     const FailPoints* fail_points);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_
