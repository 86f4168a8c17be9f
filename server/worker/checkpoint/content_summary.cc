#include "server/worker/checkpoint/content_summary.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "server/base/parallel.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Bytes of tensors that are summed at the same time: work for every core. Copies that have to be
// made of tensors take as much memory.
constexpr size_t kTogether = size_t{64} << 20;

// Whether any element has all bits of `mask`: the exponent of an infinity or a NaN. No early exit
// within a block, so that the compiler makes vector code of it.
template <typename Bits>
bool AnyHasBits(absl::Span<const char> elements, Bits mask) {
  constexpr size_t kBlock = 4096;
  const size_t count = elements.size() / sizeof(Bits);
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = std::min(count, begin + kBlock);
    Bits found = 0;
    for (size_t i = begin; i < end; ++i) {
      Bits bits;
      std::memcpy(&bits, elements.data() + i * sizeof(Bits), sizeof(Bits));
      found |= static_cast<Bits>((bits & mask) == mask);
    }
    if (found != 0) return true;
  }
  return false;
}

bool HasNonFinite(DType dtype, absl::Span<const char> elements) {
  switch (dtype) {
    case DType::kFloat64:
      return AnyHasBits<uint64_t>(elements, 0x7FF0'0000'0000'0000);
    case DType::kFloat32:
      return AnyHasBits<uint32_t>(elements, 0x7F80'0000);
    case DType::kBFloat16:
      return AnyHasBits<uint16_t>(elements, 0x7F80);
    case DType::kFloat16:
      return AnyHasBits<uint16_t>(elements, 0x7C00);
    case DType::kFloat8E5M2:
      return AnyHasBits<uint8_t>(elements, 0x7C);
    case DType::kFloat8E4M3:  // no infinities, one NaN
      return AnyHasBits<uint8_t>(elements, 0x7F);
    default:
      return false;
  }
}

}  // namespace

struct ContentSummarizer::Whole {
  const TensorInfo* info = nullptr;
  std::vector<char> scratch;
  absl::string_view elements;
  std::vector<std::string> sums;  // of its blocks
  std::vector<char> non_finite;   // by block; one where there are no blocks
};

void ContentSummarizer::BeginTensor(const TensorInfo& info) {
  digest_.UpdateField(info.name)
      .UpdateField(DTypeName(info.dtype))
      .UpdateField(absl::StrJoin(info.shape, ","));
}

void ContentSummarizer::Add(const TensorInfo& info, absl::Span<const char> elements) {
  AddPart(info, 0, elements);
}

void ContentSummarizer::AddPart(const TensorInfo& info, size_t offset,
                                absl::Span<const char> elements) {
  if (offset == 0) {
    BeginTensor(info);
    field_.emplace(info.byte_count(), &digest_);
  }
  field_->Update({elements.data(), elements.size()}, &digest_);
  summary_.byte_count += elements.size();
  if (summary_.non_finite_tensor.empty() && HasNonFinite(info.dtype, elements)) {
    summary_.non_finite_tensor = info.name;
  }
}

absl::Status ContentSummarizer::Add(const StateDict& state_dict, const Progress& progress) {
  const auto total = static_cast<int64_t>(state_dict.tensors().size());
  std::vector<Whole> tensors;
  size_t bytes = 0;
  for (int64_t i = 0; i < total; ++i) {
    RETURN_IF_ERROR(progress(i, total));
    const auto index = static_cast<size_t>(i);
    Whole tensor;
    tensor.info = &state_dict.tensors()[index];
    ASSIGN_OR_RETURN(const absl::Span<const char> elements,
                     state_dict.Read(index, &tensor.scratch));
    tensor.elements = {elements.data(), elements.size()};
    bytes += elements.size();
    tensors.push_back(std::move(tensor));
    if (bytes < kTogether && i + 1 < total) continue;
    RETURN_IF_ERROR(AddWhole(&tensors));
    tensors.clear();
    bytes = 0;
  }
  return progress(total, total);
}

absl::Status ContentSummarizer::AddWhole(std::vector<Whole>* tensors) {
  std::vector<std::pair<Whole*, size_t>> work;
  for (Whole& tensor : *tensors) {
    const size_t blocks = DigestBlocksOf(tensor.elements.size());
    tensor.sums.resize(blocks);
    tensor.non_finite.resize(std::max<size_t>(blocks, 1));
    for (size_t k = 0; k < tensor.non_finite.size(); ++k) work.emplace_back(&tensor, k);
  }
  RETURN_IF_ERROR(ForEachInParallel(work.size(), [&](size_t i) {
    const auto [tensor, k] = work[i];
    const absl::string_view block = DigestBlock(tensor->elements, k);
    if (!tensor->sums.empty()) tensor->sums[k] = Sha256Bytes(block);
    tensor->non_finite[k] = HasNonFinite(tensor->info->dtype, {block.data(), block.size()});
    return absl::OkStatus();
  }));
  for (const Whole& tensor : *tensors) {
    BeginTensor(*tensor.info);
    UpdateField(tensor.elements, tensor.sums, &digest_);
    summary_.byte_count += tensor.elements.size();
    const bool finite = std::none_of(tensor.non_finite.begin(), tensor.non_finite.end(),
                                     [](char found) { return found != 0; });
    if (!finite && summary_.non_finite_tensor.empty()) {
      summary_.non_finite_tensor = tensor.info->name;
    }
  }
  return absl::OkStatus();
}

ContentSummary ContentSummarizer::Finish() {
  summary_.digest = digest_.Finish();
  return summary_;
}

absl::StatusOr<ContentSummary> SummarizeContent(const StateDict& state_dict,
                                                const Progress& progress) {
  ContentSummarizer summarizer;
  RETURN_IF_ERROR(summarizer.Add(state_dict, progress));
  return summarizer.Finish();
}

}  // namespace stockpot
