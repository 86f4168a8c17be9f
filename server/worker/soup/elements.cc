#include "server/worker/soup/elements.h"

#include <cstring>

#include "server/worker/soup/float_conversions.h"

namespace stockpot {
namespace {

template <typename Stored, typename Decode>
void Load(absl::Span<const char> bytes, size_t begin, absl::Span<double> out,
          const Decode& decode) {
  const char* from = bytes.data() + begin * sizeof(Stored);
  for (size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, from + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<double>(decode(stored));
  }
}

template <typename Format>
void LoadSmall(absl::Span<const char> bytes, size_t begin, absl::Span<double> out) {
  Load<typename Format::Bits>(bytes, begin, out, Format::Decode);
}

}  // namespace

void LoadElements(DType dtype, absl::Span<const char> bytes, size_t begin, absl::Span<double> out) {
  switch (dtype) {
    case DType::kFloat64:
      return Load<double>(bytes, begin, out, [](double stored) { return stored; });
    case DType::kFloat32:
      return Load<float>(bytes, begin, out, [](float stored) { return stored; });
    case DType::kFloat16:
      return LoadSmall<Float16>(bytes, begin, out);
    case DType::kBFloat16:
      return LoadSmall<BFloat16>(bytes, begin, out);
    case DType::kFloat8E5M2:
      return LoadSmall<Float8E5M2>(bytes, begin, out);
    case DType::kFloat8E4M3:
      return LoadSmall<Float8E4M3>(bytes, begin, out);
    default:
      return;  // callers ask for floating-point tensors only
  }
}

}  // namespace stockpot
