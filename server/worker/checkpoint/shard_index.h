// The index of a checkpoint in several files: which tensor is in which.
// NAME.safetensors.index.json and NAME.bin.index.json as Hugging Face's libraries write them.
// Source: transformers/modeling_utils.py, load_sharded_checkpoint; shards.h writes the like.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARD_INDEX_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARD_INDEX_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct ShardedIndex {
  std::map<std::string, std::string> file_of;  // by tensor
  std::vector<std::string> files;              // sorted, each once
};

bool IsShardIndexName(absl::string_view file_name);

// Files are plain names: an index cannot lead out of its folder.
// Errors: INVALID_ARGUMENT (CHECKPOINT_INVALID).
absl::StatusOr<ShardedIndex> ParseShardIndex(absl::string_view json,
                                             const CheckpointLimits& limits);

// All tensors of the index. `shards` are the files of index.files, in that order.
// Errors: INVALID_ARGUMENT (CHECKPOINT_INVALID) when a shard has a tensor that the index has not or
// has in another file, or has not one that it should have.
absl::StatusOr<std::shared_ptr<const StateDict>> JoinShards(
    const ShardedIndex& index, std::vector<std::shared_ptr<const StateDict>> shards);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARD_INDEX_H_
