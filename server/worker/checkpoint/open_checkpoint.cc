#include "server/worker/checkpoint/open_checkpoint.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/known_content.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/safetensors_reader.h"
#include "server/worker/checkpoint/torch_save_reader.h"
#include "server/worker/checkpoint/wrapper_prefixes.h"

namespace stockpot {
namespace {

constexpr absl::string_view kConvert =
    "convert it with: python -c \"import torch; torch.save(torch.load('OLD.pt', "
    "map_location='cpu', weights_only=True), 'NEW.pt')\"";

// The magic number every file of torch.save before 1.6 starts with, as its pickle spells it.
constexpr absl::string_view kLegacyMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);

// Formats that are known, and not read: an error that says what to do, or OK.
absl::Status CheckFormatIsRead(absl::string_view bytes) {
  const absl::string_view start = bytes.substr(0, 64);
  if (absl::StartsWith(start, "\x80")) {
    if (absl::StrContains(start, kLegacyMagic)) {
      return UnsupportedCheckpoint(
          absl::StrCat("a torch.save file of the format before PyTorch 1.6; ", kConvert));
    }
    return UnsupportedCheckpoint(
        "a bare pickle, not a checkpoint; save a state dict with torch.save or safetensors");
  }
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") {
    return UnsupportedCheckpoint(
        absl::StrCat("a tar archive, as PyTorch saved before 0.2; ", kConvert));
  }
  if (absl::StartsWith(start, "\x89HDF")) {
    return UnsupportedCheckpoint("an HDF5 file; save the weights as safetensors");
  }
  if (absl::StartsWith(start, "GGUF")) {
    return UnsupportedCheckpoint("a GGUF file; use the safetensors it was made from");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const MappedFile>> Map(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (file.ok()) return file;
  if (absl::IsNotFound(file.status())) return WithReason(file.status(), "CHECKPOINT_NOT_FOUND");
  if (absl::IsInvalidArgument(file.status()))
    return WithReason(file.status(), "CHECKPOINT_INVALID");
  return file.status();
}

absl::StatusOr<TorchSaveFile> OpenMapped(std::shared_ptr<const MappedFile> file,
                                         const CheckpointLimits& limits,
                                         absl::string_view state_dict_key) {
  const absl::string_view bytes = file->bytes();
  if (bytes.size() <= 8) return TruncatedCheckpoint("the file ends within its first 8 bytes");
  // First: the size of a safetensors header may begin with any byte, a pickle's 0x80 as well.
  if (LooksLikeSafetensors(bytes)) {
    ASSIGN_OR_RETURN(auto state_dict, OpenSafetensors(std::move(file), limits));
    return TorchSaveFile{std::move(state_dict)};
  }
  if (LooksLikeTorchSave(bytes)) return OpenTorchSave(std::move(file), limits, state_dict_key);
  RETURN_IF_ERROR(CheckFormatIsRead(bytes));
  return InvalidCheckpoint(
      absl::StrCat("not a checkpoint: neither safetensors nor torch.save", ButKnownContent(bytes)));
}

}  // namespace

absl::StatusOr<RawCheckpoint> OpenRawCheckpoint(const std::string& path,
                                                const CheckpointLimits& limits,
                                                absl::string_view state_dict_key) {
  ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, Map(path));
  ASSIGN_OR_RETURN(TorchSaveFile opened, OpenMapped(std::move(file), limits, state_dict_key));
  if (opened.state_dict->tensors().empty()) {
    return InvalidCheckpoint(opened.state_dict->format() == "TorchScript"
                                 ? "the TorchScript module has no parameters: a frozen one?"
                                 : "the checkpoint holds no tensors");
  }
  return RawCheckpoint{std::move(opened.state_dict), opened.is_lightning};
}

absl::StatusOr<std::shared_ptr<const StateDict>> WithoutWrapperPrefix(
    const RawCheckpoint& checkpoint) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : checkpoint.state_dict->tensors()) names.push_back(tensor.name);
  const Unwrapped unwrapped = Unwrap(names, checkpoint.is_lightning);
  if (unwrapped.prefix.empty()) return checkpoint.state_dict;
  std::vector<std::string> notes = {absl::StrCat("prefix ", Quote(unwrapped.prefix), " removed")};
  for (const std::string& name : unwrapped.left_out) {
    notes.push_back(absl::StrCat("ignored: ", Quote(name), " (of the training, not the model)"));
  }
  const std::set<std::string> left_out(unwrapped.left_out.begin(), unwrapped.left_out.end());
  return RenameTensors(
      checkpoint.state_dict,
      [&](const std::string& name) {
        return left_out.count(name) > 0 ? "" : name.substr(unwrapped.prefix.size());
      },
      std::move(notes));
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenCheckpoint(const std::string& path,
                                                                const CheckpointLimits& limits) {
  ASSIGN_OR_RETURN(const RawCheckpoint checkpoint, OpenRawCheckpoint(path, limits, ""));
  return WithoutWrapperPrefix(checkpoint);
}

}  // namespace stockpot
