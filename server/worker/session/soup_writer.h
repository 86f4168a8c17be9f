// Writes a soup as FOLDER/soup.safetensors. Thread safety: the function is thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "server/worker/session/blend_source.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// Tensor by tensor, in bounded memory, under a temporary name; read back, then renamed, so that the
// name stands for a whole soup at any time. A file of an earlier attempt is replaced.
// `keep_going` is asked before each tensor; a result that is not OK ends the work with it.
// Errors: of BlendTensor, SafetensorsWriter and the file system; what `keep_going` gave.
absl::StatusOr<worker::v1::SoupFiles> WriteSoupFile(
    const BlendSource& blend, const std::string& folder,
    const std::map<std::string, std::string>& metadata, const CheckpointLimits& limits,
    const std::function<absl::Status()>& keep_going);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SOUP_WRITER_H_
