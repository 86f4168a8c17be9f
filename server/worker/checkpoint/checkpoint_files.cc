#include "server/worker/checkpoint/checkpoint_files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/checkpoint_folder.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/averageable.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/low_rank_adapter.h"
#include "server/worker/checkpoint/open_checkpoint.h"
#include "server/worker/checkpoint/shard_index.h"

namespace stockpot {
namespace {

constexpr absl::string_view kAdapterConfig = "adapter_config.json";
constexpr absl::string_view kAdapterFiles[] = {"adapter_model.safetensors", "adapter_model.bin"};

absl::StatusOr<std::string> ReadText(const std::string& path, const CheckpointLimits& limits) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (absl::IsNotFound(file.status())) return WithReason(file.status(), "CHECKPOINT_NOT_FOUND");
  RETURN_IF_ERROR(file.status());
  if ((*file)->bytes().size() > limits.max_header_bytes) {
    return InvalidCheckpoint(absl::StrCat("a JSON file of ", (*file)->bytes().size(),
                                          " bytes is over the limit of ", limits.max_header_bytes));
  }
  return std::string((*file)->bytes());
}

absl::StatusOr<std::string> PathOf(const CheckpointFiles& files, absl::string_view part) {
  const auto found = files.parts.find(std::string(part));
  if (found != files.parts.end()) return found->second;
  return absl::InternalError(absl::StrCat("nobody looked for ", part));
}

absl::StatusOr<RawCheckpoint> OpenShards(const CheckpointFiles& files,
                                         const CheckpointReading& reading,
                                         const CheckpointLimits& limits) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(files.path, limits));
  ASSIGN_OR_RETURN(const ShardedIndex index, ParseShardIndex(text, limits));
  std::vector<std::shared_ptr<const StateDict>> shards;
  for (const std::string& name : index.files) {
    ASSIGN_OR_RETURN(const std::string path, PathOf(files, name));
    auto shard = OpenRawCheckpoint(path, limits, reading.state_dict_key);
    if (!shard.ok()) return Annotate(shard.status(), absl::StrCat("file ", name));
    shards.push_back(std::move(shard->state_dict));
  }
  ASSIGN_OR_RETURN(auto joined, JoinShards(index, std::move(shards)));
  return RawCheckpoint{std::move(joined)};
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenAdapter(const CheckpointFiles& files,
                                                             const CheckpointLimits& limits) {
  if (files.base == nullptr) {
    return InvalidCheckpoint(
        "a LoRA adapter, and no base: name the checkpoint that it was trained from "
        "(model.base_uri, or --base)");
  }
  ASSIGN_OR_RETURN(const std::string path, PathOf(files, kAdapterConfig));
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, limits));
  ASSIGN_OR_RETURN(const AdapterConfig config, ParseAdapterConfig(text));
  ASSIGN_OR_RETURN(const RawCheckpoint adapter, OpenRawCheckpoint(files.path, limits, ""));
  return MergeAdapter(files.base, adapter.state_dict, config);
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenUnderOwnNames(const CheckpointFiles& files,
                                                                   const CheckpointReading& reading,
                                                                   const CheckpointLimits& limits) {
  if (IsAdapterName(files.name)) return OpenAdapter(files, limits);
  if (IsOneOfSeveralFiles(files.name)) {
    return InvalidCheckpoint(
        "one file of several that make a checkpoint; give its .index.json, or the folder");
  }
  ASSIGN_OR_RETURN(const RawCheckpoint raw,
                   IsShardIndexName(files.name)
                       ? OpenShards(files, reading, limits)
                       : OpenRawCheckpoint(files.path, limits, reading.state_dict_key));
  return WithoutWrapperPrefix(raw);
}

}  // namespace

bool IsAdapterName(absl::string_view name) {
  return name == kAdapterFiles[0] || name == kAdapterFiles[1];
}

absl::StatusOr<std::vector<std::string>> FurtherFiles(const std::string& name,
                                                      const std::string& path,
                                                      const CheckpointLimits& limits) {
  if (IsAdapterName(name)) return std::vector<std::string>{std::string(kAdapterConfig)};
  if (!IsShardIndexName(name)) return std::vector<std::string>();
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, limits));
  ASSIGN_OR_RETURN(ShardedIndex index, ParseShardIndex(text, limits));
  return std::move(index.files);
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenCheckpointFiles(
    const CheckpointFiles& files, const CheckpointReading& reading,
    const CheckpointLimits& limits) {
  ASSIGN_OR_RETURN(std::shared_ptr<const StateDict> state_dict,
                   OpenUnderOwnNames(files, reading, limits));
  RETURN_IF_ERROR(CheckAverageable(state_dict->tensors()));
  if (reading.renames.empty()) return state_dict;
  return RenameTensors(
      state_dict, [&reading](const std::string& name) { return Renamed(reading.renames, name); },
      {"renamed by the job's rules"});
}

absl::StatusOr<CheckpointFiles> FindLocalCheckpoint(const std::string& path,
                                                    const CheckpointLimits& limits) {
  std::error_code ignored;
  std::filesystem::path file = path;
  if (std::filesystem::is_directory(file, ignored)) {
    for (const absl::string_view name : kFilesOfCheckpointFolders) {
      file = std::filesystem::path(path) / std::string(name);
      if (std::filesystem::exists(file, ignored)) break;
      file.clear();
    }
    if (file.empty()) return NoCheckpointInFolder();
  }
  CheckpointFiles files{file.filename().string(), file.string(), {}, nullptr};
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, FurtherFiles(files.name, file, limits));
  for (const std::string& part : parts) {
    files.parts[part] = (file.parent_path() / part).string();
  }
  return files;
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenLocalCheckpoint(
    const std::string& path, std::shared_ptr<const StateDict> base,
    const CheckpointLimits& limits) {
  ASSIGN_OR_RETURN(CheckpointFiles files, FindLocalCheckpoint(path, limits));
  files.base = std::move(base);
  return OpenCheckpointFiles(files, {}, limits);
}

absl::Status NoCheckpointInFolder() {
  return WithReason(
      absl::NotFoundError(absl::StrCat(
          "a folder without a checkpoint: none of ", absl::StrJoin(kFilesOfCheckpointFolders, ", "),
          " is in it. An ingredient whose uri ends with / stands for those below "
          "it, but of web servers, which have no folders to look in")),
      "CHECKPOINT_NOT_FOUND");
}

}  // namespace stockpot
