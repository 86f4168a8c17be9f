// How a checkpoint is divided among several safetensors files, as Hugging Face's libraries do it
// and read it: NAME-00001-of-00003.safetensors … and NAME.safetensors.index.json, which says where
// each tensor is.
//
// Source: huggingface_hub/serialization/_base.py, split_state_dict_into_shards_factory; other than
// there, every file holds consecutive tensors.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARDS_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct Shard {
  std::string file;
  size_t begin = 0, end = 0;  // of the tensors: [begin, end)
};

// Fills one file after the other with at most `max_bytes` of tensors each; a larger tensor has a
// file of its own. Where one file does it is NAME.safetensors. There is always one, though it be
// without tensors.
std::vector<Shard> DivideIntoShards(const std::vector<TensorInfo>& tensors, uint64_t max_bytes,
                                    const std::string& name);

// The content of the index. `metadata` stands beside "total_size", the bytes of all tensors.
std::string ShardIndex(const std::vector<TensorInfo>& tensors, const std::vector<Shard>& shards,
                       const std::map<std::string, std::string>& metadata);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SHARDS_H_
