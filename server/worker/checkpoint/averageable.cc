#include "server/worker/checkpoint/averageable.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

struct Mark {
  absl::string_view suffix, made_by;
};
constexpr Mark kMarks[] = {
    {".qweight", "GPTQ or AWQ"},
    {".qzeros", "GPTQ or AWQ"},
    {".SCB", "bitsandbytes (8 bit)"},
    {".absmax", "bitsandbytes (4 bit)"},
    {".quant_map", "bitsandbytes (4 bit)"},
    {".weight_packed", "compressed-tensors"},
    {".weight_scale", "scaled 8-bit weights"},
    {".weight_scale_inv", "scaled 8-bit weights"},
};

absl::Status Quantized(const TensorInfo& tensor, absl::string_view why) {
  return AtTensor(tensor.name,
                  UnsupportedCheckpoint(absl::StrCat(
                      "the checkpoint is quantised (", why,
                      "): averages of quantised weights mean nothing; give the weights that it was "
                      "made from, and quantise the soup")));
}

bool IsAdapterFactor(absl::string_view name) {
  return absl::EndsWith(name, ".lora_A.weight") || absl::EndsWith(name, ".lora_B.weight") ||
         absl::EndsWith(name, ".lora_embedding_A") || absl::EndsWith(name, ".lora_embedding_B");
}

bool IsMatrixOfIntegers(const TensorInfo& tensor) {
  return !IsFloatingPoint(tensor.dtype) && tensor.dtype != DType::kBool &&
         tensor.shape.size() >= 2 &&
         (tensor.name == "weight" || absl::EndsWith(tensor.name, ".weight"));
}

// Two numbers of four bits a byte, as gpt-oss has them.
bool IsBlocksOfMxfp4(const TensorInfo& tensor) {
  return tensor.dtype == DType::kUint8 && tensor.shape.size() >= 2 &&
         absl::EndsWith(tensor.name, "_blocks");
}

}  // namespace

absl::Status CheckAverageable(const std::vector<TensorInfo>& tensors) {
  for (const TensorInfo& tensor : tensors) {
    for (const Mark& mark : kMarks) {
      if (absl::EndsWith(tensor.name, mark.suffix)) return Quantized(tensor, mark.made_by);
    }
    if (IsBlocksOfMxfp4(tensor)) return Quantized(tensor, "MXFP4");
    if (IsAdapterFactor(tensor.name)) {
      return AtTensor(tensor.name,
                      UnsupportedCheckpoint(
                          "is a factor of a LoRA adapter, and a mean of factors is not the mean of "
                          "their products; give the adapter's folder, and model.base_uri"));
    }
    if (IsMatrixOfIntegers(tensor)) {
      return Quantized(tensor, absl::StrCat("a weight of ", DTypeName(tensor.dtype)));
    }
  }
  return absl::OkStatus();
}

}  // namespace stockpot
