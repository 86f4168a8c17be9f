#include "server/worker/checkpoint/content_summary.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

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

void ContentSummarizer::Add(const TensorInfo& info, absl::Span<const char> elements) {
  AddPart(info, 0, elements);
}

void ContentSummarizer::AddPart(const TensorInfo& info, size_t offset,
                                absl::Span<const char> elements) {
  if (offset == 0) {
    digest_.UpdateField(info.name)
        .UpdateField(DTypeName(info.dtype))
        .UpdateField(absl::StrJoin(info.shape, ","))
        .UpdateFieldSize(info.byte_count());
  }
  digest_.Update({elements.data(), elements.size()});
  summary_.byte_count += elements.size();
  if (summary_.non_finite_tensor.empty() && HasNonFinite(info.dtype, elements)) {
    summary_.non_finite_tensor = info.name;
  }
}

absl::Status ContentSummarizer::Add(const StateDict& state_dict, const Progress& progress) {
  const auto total = static_cast<int64_t>(state_dict.tensors().size());
  std::vector<char> scratch;
  for (int64_t i = 0; i < total; ++i) {
    RETURN_IF_ERROR(progress(i, total));
    const auto index = static_cast<size_t>(i);
    ASSIGN_OR_RETURN(const absl::Span<const char> elements, state_dict.Read(index, &scratch));
    Add(state_dict.tensors()[index], elements);
  }
  return progress(total, total);
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
