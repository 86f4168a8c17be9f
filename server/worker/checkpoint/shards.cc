#include "server/worker/checkpoint/shards.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/json_reader.h"

namespace stockpot {

std::vector<Shard> DivideIntoShards(const std::vector<TensorInfo>& tensors, uint64_t max_bytes,
                                    const std::string& name) {
  std::vector<Shard> shards(1);
  uint64_t bytes = 0;  // in the last one
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t added = tensors[i].byte_count();
    const bool full = added > max_bytes || bytes > max_bytes - added;
    if (full && shards.back().end > shards.back().begin) {
      shards.push_back({"", i, i});
      bytes = 0;
    }
    shards.back().end = i + 1;
    bytes += added;
  }
  if (shards.size() == 1) {
    shards[0].file = absl::StrCat(name, ".safetensors");
    return shards;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].file = absl::StrFormat("%s-%05d-of-%05d.safetensors", name, i + 1, shards.size());
  }
  return shards;
}

std::string ShardIndex(const std::vector<TensorInfo>& tensors, const std::vector<Shard>& shards,
                       const std::map<std::string, std::string>& metadata) {
  uint64_t total = 0;
  Json weight_map = Json::object();
  for (const Shard& shard : shards) {
    for (size_t i = shard.begin; i < shard.end; ++i) {
      weight_map[tensors[i].name] = shard.file;
      total += tensors[i].byte_count();
    }
  }
  Json index = {{"metadata", metadata}, {"weight_map", std::move(weight_map)}};
  index["metadata"]["total_size"] = total;
  return DumpJson(index, /*indent=*/2) + "\n";
}

}  // namespace stockpot
