// What tasks read: checkpoints, data sets and architectures, opened from URIs and kept for the next
// task. Kept things are found by what the file is (path, device, inode, size, times) and used only
// where their content digest is the one asked for. A remote file is looked at anew by the functions
// that take no digest; with a digest, what was found under the URI with it before will do.
//
// `progress` is told of what has to be brought, read or decoded: mebibytes of a remote file, then
// tensors of a checkpoint or images of a data set. Errors of every function: those of AllowList and
// RemoteFiles, then those of the reader; "checkpoint URI: …"; what `progress` gave.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SOURCES_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SOURCES_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/base/work_counters.h"
#include "server/storage/local_path.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/transform_preset.h"
#include "server/worker/session/checkpoint_locator.h"
#include "server/worker/session/file_identity.h"
#include "server/worker/session/least_recently_used.h"
#include "server/worker/session/source_locator.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

class Sources {
 public:
  struct Options {
    std::string cache_folder;  // of decoded data sets; must exist or be makeable
    CheckpointLimits checkpoint_limits;
    DataSetLimits data_set_limits;
    // Of the logits kept in cache_folder/logits; the least recently used go first. 0: no bound.
    uint64_t max_logits_bytes = 50'000'000'000;
    // Memory-mapped, so that they cost address space. As many as a job may have ingredients: a soup
    // of all of them would else read every one again for each measure.
    size_t kept_checkpoints = 1024;
    size_t kept_data_sets = 32;  // memory-mapped as well
    size_t kept_architecture_digests = 32;
    WorkCounters* counters = nullptr;  // of caches; must outlive this
  };

  struct Checkpoint {
    std::shared_ptr<const StateDict> state_dict;
    ContentSummary content;
    std::string pinned_uri;  // as in worker.v1.CheckpointFound
    bool is_adapter = false;
  };
  struct OpenedDataSet {
    std::shared_ptr<const DataSet> data_set;
    std::string pinned_uri;
    ImageGeometry geometry;                 // of images
    std::optional<TransformPreset> preset;  // as LocatedDataSet's
  };
  struct Architecture {
    FileIdentity file;
    std::string digest;  // SHA-256 of the file
    std::string pinned_uri;
  };

  // `fail_points` and `remote_files` (may be null, the latter where no URI may lead elsewhere) must
  // outlive this.
  Sources(Options options, AllowList allow_list, const FailPoints* fail_points,
          RemoteFiles* remote_files = nullptr);

  // Reads all of it, unless these very files were read before so. `reading` may lack an
  // adapter_base where the checkpoint is no adapter.
  absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& uri,
                                            const worker::v1::CheckpointReading& reading,
                                            const Progress& progress);
  // Also FAILED_PRECONDITION (reason CHECKPOINT_CHANGED) when it holds other weights.
  absl::StatusOr<Checkpoint> OpenCheckpoint(const worker::v1::CheckpointReference& reference,
                                            const worker::v1::CheckpointReading& reading,
                                            const Progress& progress);

  // The selection's view of a kept checkpoint: the same one each time, so that what others keep of
  // it, known by its address, is found again (sums of weights, tensors on a card).
  std::shared_ptr<const StateDict> Select(const std::shared_ptr<const StateDict>& state_dict,
                                          const TensorSelection& selection);

  // The URIs that a pattern matches, as SourceLocator::Expand.
  absl::StatusOr<std::vector<std::string>> Expand(const std::string& uri_pattern, size_t most,
                                                  const Progress& progress) {
    return locator_.Expand(uri_pattern, most, progress);
  }

  // Looks at every file again.
  absl::StatusOr<OpenedDataSet> OpenDataSet(const v1::DataSet& data_set, const Progress& progress);
  // One kept under this digest will do. Also FAILED_PRECONDITION (reason CHECKPOINT_CHANGED) when
  // the content is another.
  absl::StatusOr<std::shared_ptr<const DataSet>> OpenDataSet(const v1::DataSet& data_set,
                                                             const std::string& digest,
                                                             const Progress& progress);

  // An empty `digest` is any; another digest than asked for is no error. Errors: NOT_FOUND has
  // reason ARCHITECTURE_INVALID.
  absl::StatusOr<Architecture> FindArchitecture(const std::string& uri, const std::string& digest,
                                                const Progress& progress);

 private:
  // The view keeps what the addresses are of.
  struct ViewKey {
    const StateDict* of;
    const StateDict* base;
    std::vector<std::string> excluded, from_base;

    bool operator==(const ViewKey& other) const {
      return of == other.of && base == other.base && excluded == other.excluded &&
             from_base == other.from_base;
    }
  };
  // Which files were read how: what the content depends on.
  struct CheckpointKey {
    std::vector<FileIdentity> files;
    std::string reading;

    bool operator==(const CheckpointKey& other) const {
      return files == other.files && reading == other.reading;
    }
  };
  struct KeptDataSet {
    std::shared_ptr<const DataSet> data_set;
    // The copy of a remote folder that every pass reads; without a path: none. It is held while a
    // task uses the set, and else may leave the cache, whose bound would not hold otherwise.
    FileIdentity folder;
  };
  using DataSetKey = std::pair<FileIdentity, std::string>;  // and the serialized message

  // The kept one of this digest, where nothing has to be asked for it; null.
  const Checkpoint* FindKnown(const worker::v1::CheckpointReference& reference);
  absl::StatusOr<Checkpoint> OpenLocated(const std::string& uri, LocatedCheckpoint located,
                                         const worker::v1::CheckpointReading& reading,
                                         const Progress& progress);
  std::shared_ptr<const DataSet> FindKnown(const v1::DataSet& data_set, const std::string& digest);
  void CountCheckpoint(bool hit) const;

  const Options options_;
  const FailPoints* const fail_points_;
  SourceLocator locator_;
  KnownFurtherFiles known_further_files_;
  LeastRecentlyUsed<CheckpointKey, Checkpoint> checkpoints_;
  // Of remote ones, by URI and digest: SourceLocator::Find for several files.
  std::map<std::pair<std::string, std::string>, CheckpointKey> remote_checkpoints_;
  LeastRecentlyUsed<ViewKey, std::shared_ptr<const StateDict>> views_;
  LeastRecentlyUsed<DataSetKey, KeptDataSet> data_sets_;
  LeastRecentlyUsed<FileIdentity, std::string> architecture_digests_;
};

// FAILED_PRECONDITION, reason CHECKPOINT_CHANGED, when `found` is not `expected`; an empty
// `expected` is any.
absl::Status CheckDigest(const std::string& expected, const std::string& found);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SOURCES_H_
