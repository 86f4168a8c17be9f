#include "server/worker/checkpoint/elements.h"

#include "server/worker/checkpoint/stored_float.h"

namespace stockpot {

void LoadElements(DType dtype, absl::Span<const char> bytes, size_t begin, absl::Span<double> out) {
  WithStoredFloat(dtype, [&](auto format) {
    using Format = decltype(format);
    using Stored = typename Format::Stored;
    const char* const from = bytes.data() + begin * sizeof(Stored);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<double>(Format::Load(LoadAt<Stored>(from, i)));
    }
  });
}

void StoreElements(absl::Span<const double> elements, DType dtype, char* bytes) {
  WithStoredFloat(dtype, [&](auto format) {
    for (size_t i = 0; i < elements.size(); ++i) {
      StoreAt(bytes, i, decltype(format)::Store(elements[i]));
    }
  });
}

}  // namespace stockpot
