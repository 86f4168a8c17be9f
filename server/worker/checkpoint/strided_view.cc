#include "server/worker/checkpoint/strided_view.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

// An expanded tensor (stride 0) may be far larger than its file; beyond this it is an attack.
constexpr int64_t kMaxExpandedElements = int64_t{1} << 26;

bool IsEmpty(const StridedView& view) {
  return std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
}

// Copies the block of dimensions from `dimension` on; returns where the next one goes.
template <size_t kElementSize>
char* CopyBlock(const StridedView& view, size_t dimension, const char* from, char* to) {
  if (dimension == view.shape.size()) {
    std::memcpy(to, from, kElementSize);
    return to + kElementSize;
  }
  const auto step = view.strides[dimension] * static_cast<int64_t>(kElementSize);
  const bool innermost = dimension + 1 == view.shape.size();
  for (int64_t i = 0; i < view.shape[dimension]; ++i) {
    if (innermost) {
      std::memcpy(to, from + i * step, kElementSize);
      to += kElementSize;
    } else {
      to = CopyBlock<kElementSize>(view, dimension + 1, from + i * step, to);
    }
  }
  return to;
}

}  // namespace

bool IsContiguous(const StridedView& view) {
  if (IsEmpty(view)) return true;
  int64_t expected = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] == 1) continue;
    if (view.strides[i] != expected) return false;
    expected *= view.shape[i];
  }
  return true;
}

absl::Status CheckInside(const StridedView& view, uint64_t storage_size) {
  const auto element_count = static_cast<int64_t>(storage_size / view.element_size);
  if (view.offset < 0) return InvalidCheckpoint("begins before its storage");
  int64_t last = view.offset;  // index of the last element
  int64_t count = 1;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.strides[i] < 0) return InvalidCheckpoint("has a negative stride");
  }
  if (IsEmpty(view)) {
    if (view.offset <= element_count) return absl::OkStatus();
    return InvalidCheckpoint("begins after its storage");
  }
  for (size_t i = 0; i < view.shape.size(); ++i) {
    int64_t reach;
    if (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return InvalidCheckpoint("reaches outside its storage");
    }
    count *= view.shape[i];
  }
  if (last >= element_count) {
    return InvalidCheckpoint(
        absl::StrCat("reaches element ", last, " of a storage of ", element_count));
  }
  if (count > element_count && count > kMaxExpandedElements) {
    return InvalidCheckpoint(absl::StrCat("repeats its storage's ", element_count, " elements ",
                                          count, " times in all; save a contiguous tensor"));
  }
  return absl::OkStatus();
}

void CopyRowMajor(const StridedView& view, absl::string_view storage, absl::Span<char> out) {
  if (out.empty()) return;
  const char* from = storage.data() + view.offset * static_cast<int64_t>(view.element_size);
  switch (view.element_size) {
    case 1:
      CopyBlock<1>(view, 0, from, out.data());
      break;
    case 2:
      CopyBlock<2>(view, 0, from, out.data());
      break;
    case 4:
      CopyBlock<4>(view, 0, from, out.data());
      break;
    default:
      CopyBlock<8>(view, 0, from, out.data());
  }
}

}  // namespace stockpot
