#include "server/worker/soup/elements.h"

#include "server/worker/soup/stored_float.h"

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

}  // namespace stockpot
