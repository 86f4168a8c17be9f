// Which reader a file belongs to, told by its first bytes.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/safetensors_reader.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/checkpoint/torch_save_reader.h"

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

absl::StatusOr<std::shared_ptr<const StateDict>> OpenMapped(std::shared_ptr<const MappedFile> file,
                                                            const CheckpointLimits& limits) {
  const absl::string_view bytes = file->bytes();
  if (bytes.size() <= 8) return TruncatedCheckpoint("the file ends within its first 8 bytes");
  // First: the size of a safetensors header may begin with any byte, a pickle's 0x80 as well.
  if (LooksLikeSafetensors(bytes)) return OpenSafetensors(std::move(file), limits);
  if (LooksLikeTorchSave(bytes)) return OpenTorchSave(std::move(file), limits);
  RETURN_IF_ERROR(CheckFormatIsRead(bytes));
  return InvalidCheckpoint("not a checkpoint: neither safetensors nor torch.save");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const StateDict>> OpenCheckpoint(const std::string& path,
                                                                const CheckpointLimits& limits) {
  ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, Map(path));
  ASSIGN_OR_RETURN(std::shared_ptr<const StateDict> state_dict,
                   OpenMapped(std::move(file), limits));
  if (state_dict->tensors().empty()) return InvalidCheckpoint("the checkpoint holds no tensors");
  return state_dict;
}

}  // namespace stockpot
