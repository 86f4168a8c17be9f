// DownloadArtifact: a file of a job in chunks of at most 1 MiB, read one chunk at a time.
//
// Only a name that the job lists is opened, below the job's own folder and without following a link
// in its last part, so a request cannot name any other file.
// Thread safety: as SteppedStream.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_DOWNLOAD_STREAM_H_
#define STOCKPOT_SERVER_CONTROL_RPC_DOWNLOAD_STREAM_H_

#include "server/control/job/engine.h"
#include "server/control/rpc/stepped_stream.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

class DownloadStream final : public SteppedStream<v1::ArtifactChunk> {
 public:
  static constexpr int64_t kChunkBytes = 1 << 20;

  // `engine`, `executor` and `registry` must outlive the stream.
  DownloadStream(v1::DownloadArtifactRequest request, std::function<absl::Status()> permitted,
                 Engine* engine, Executor* executor, StreamRegistry* registry);
  ~DownloadStream() override;

 private:
  absl::StatusOr<StreamStep> Next(v1::ArtifactChunk* chunk) override;
  absl::Status Open();
  absl::StatusOr<v1::ArtifactFile> FindArtifact();
  absl::Status OpenFile(const std::string& path, int64_t expected_size);

  const std::function<absl::Status()> permitted_;
  Engine* const engine_;
  const v1::DownloadArtifactRequest request_;

  // Used by Next() only.
  int file_ = -1;
  bool first_ = true;
  v1::ArtifactFile artifact_;
  std::string folder_;
  int64_t offset_ = 0;
  int64_t end_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_DOWNLOAD_STREAM_H_
