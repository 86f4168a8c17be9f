#include "server/worker/checkpoint/shard_index.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/state_dict_view.h"

namespace stockpot {
namespace {

constexpr size_t kMaxFiles = 10'000;
constexpr size_t kMaxFileName = 255;
// As JSON it takes some twenty times that; a model of 100,000 tensors has 8 MB.
constexpr size_t kMaxIndexBytes = 16 << 20;

// A name of a file in the same folder, and nothing else.
bool IsPlainFileName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxFileName || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7F && c != '/' && c != '\\' && c != '%' && c != '?' && c != '#';
  });
}

}  // namespace

bool IsShardIndexName(absl::string_view file_name) {
  return absl::EndsWith(file_name, ".index.json");
}

absl::StatusOr<ShardedIndex> ParseShardIndex(absl::string_view text,
                                             const CheckpointLimits& limits) {
  if (text.size() > kMaxIndexBytes) {
    return InvalidCheckpoint(
        absl::StrCat("an index of ", text.size(), " bytes is over the limit of ", kMaxIndexBytes));
  }
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) return InvalidCheckpoint(absl::StrCat("the index: ", json.status().message()));
  const auto map = json->find("weight_map");
  if (!json->is_object() || map == json->end() || !map->is_object() || map->empty()) {
    return InvalidCheckpoint("the index has no weight_map that says where tensors are");
  }
  if (map->size() > limits.max_tensors) {
    return InvalidCheckpoint(absl::StrCat("has more than ", limits.max_tensors, " tensors"));
  }
  ShardedIndex index;
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    RETURN_IF_ERROR(CheckTensorName(tensor));
    const std::string* name = file.get_ptr<const std::string*>();
    if (name == nullptr || !IsPlainFileName(*name) || IsShardIndexName(*name)) {
      return AtTensor(tensor, InvalidCheckpoint(absl::StrCat(
                                  "the index has it in ", Quote(DumpJson(file)),
                                  ", which is not the name of a file beside the index")));
    }
    files.insert(*name);
    index.file_of.emplace(tensor, *name);
  }
  if (files.size() > kMaxFiles) {
    return InvalidCheckpoint(absl::StrCat("the index has more than ", kMaxFiles, " files"));
  }
  index.files.assign(files.begin(), files.end());
  return index;
}

absl::StatusOr<std::shared_ptr<const StateDict>> JoinShards(
    const ShardedIndex& index, std::vector<std::shared_ptr<const StateDict>> shards) {
  const auto view = std::make_shared<StateDictView>(
      shards, absl::StrCat("sharded ", shards[0]->format()),
      std::vector<std::string>{absl::StrCat("joined from ", shards.size(), " files")});
  size_t found = 0;
  for (size_t k = 0; k < shards.size(); ++k) {
    for (size_t i = 0; i < shards[k]->tensors().size(); ++i) {
      const std::string& name = shards[k]->tensors()[i].name;
      const auto place = index.file_of.find(name);
      if (place == index.file_of.end() || place->second != index.files[k]) {
        return AtTensor(name, InvalidCheckpoint(absl::StrCat(
                                  "is in ", index.files[k], ", where the index has it not: ",
                                  "files of two checkpoints in one folder?")));
      }
      view->Add(shards[k].get(), i);
      ++found;
    }
  }
  RETURN_IF_ERROR(view->Sort());
  if (found == index.file_of.size()) return view;
  for (const auto& [tensor, file] : index.file_of) {
    if (FindTensor(view->tensors(), tensor).has_value()) continue;
    return AtTensor(
        tensor, InvalidCheckpoint(absl::StrCat("is not in ", file, ", where the index has it")));
  }
  return absl::InternalError("a tensor of the index was counted twice");
}

}  // namespace stockpot
