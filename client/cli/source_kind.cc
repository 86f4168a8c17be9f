#include "client/cli/source_kind.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace stockpot::cli {
namespace {

// Enough for the header of a data set, and for the directory of an archive.
constexpr std::streamoff kLookBytes = 1 << 20;

std::string Head(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(kLookBytes, '\0');
  file.read(bytes.data(), kLookBytes);
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

std::string Tail(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : 0;
  std::string bytes(static_cast<size_t>(std::min(size, kLookBytes)), '\0');
  file.seekg(size - static_cast<std::streamoff>(bytes.size()));
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

// As transformers' save_pretrained and peft write them.
bool IsCheckpointFolder(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json", "adapter_config.json"}) {
    if (std::filesystem::exists(folder / name, ignored)) return true;
  }
  return false;
}

}  // namespace

SourceKind GuessSourceKind(const std::string& path_or_uri) {
  const std::string path(absl::StripPrefix(path_or_uri, "file://"));
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return IsCheckpointFolder(path) ? SourceKind::kCheckpoint : SourceKind::kDataSet;
  }
  for (const char* end : {".parquet", ".tar", ".csv", ".jsonl", ".npz"}) {
    if (absl::EndsWith(path, end)) return SourceKind::kDataSet;
  }
  // Elsewhere, or a pipe, which nothing may ever come out of.
  if (!std::filesystem::is_regular_file(path, ignored)) return SourceKind::kCheckpoint;
  if (absl::EndsWith(path, ".safetensors")) {
    return absl::StrContains(Head(path), "\"labels\"") ? SourceKind::kDataSet
                                                       : SourceKind::kCheckpoint;
  }
  return absl::StrContains(Tail(path), "/code/") ? SourceKind::kArchitecture
                                                 : SourceKind::kCheckpoint;
}

}  // namespace stockpot::cli
