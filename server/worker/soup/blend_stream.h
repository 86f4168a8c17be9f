// Makes the tensors of a blend one after the other on several threads, in bounded memory, at the
// speed at which the ingredients can be read: what soups are written with.
//
// Tensors are cut into parts that stay in a core's cache, parts are gathered in windows. While the
// parts of one window are made, each by one thread, the window before it is given to the consumers:
// every consumer sees all parts in order, and different consumers run at the same time (one writes,
// another sums). Ingredients are copied part by part to where the sum is made: nothing of them
// stays in the process's memory.
//
//   StreamBlend(blend, 0, tensor_count, {}, {{write, sum}}, progress);
//
// The bits are BlendTensor's, whatever the threads and windows.
// Thread safety: the functions are thread-safe; consumers of one stream may run at the same time.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_BLEND_STREAM_H_
#define STOCKPOT_SERVER_WORKER_SOUP_BLEND_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/base/progress.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {

struct BlendStreamOptions {
  int threads = 0;                 // 0: one for each core
  size_t window_bytes = 16 << 20;  // of the soup; a window holds one part at least
};

// Some elements of a tensor. An empty tensor has one empty part.
struct TensorPart {
  size_t tensor;  // its index
  size_t offset;  // of the first element, in bytes
  absl::Span<const char> elements;
};
using PartConsumer = std::function<absl::Status(const TensorPart&)>;

struct BlendConsumers {
  std::vector<PartConsumer> soup;  // each gets the blend's parts
  // None, or one for each ingredient: gets the parts of that ingredient as it stores them.
  std::vector<PartConsumer> ingredients;
};

// Streams tensors [begin, end). `progress` counts tensors that all consumers have seen; it is told
// of each, from this thread, after every window. Errors: of BlendTensor, with the tensor's name;
// those of the consumers and of `progress`.
absl::Status StreamBlend(const WeightBlend& blend, size_t begin, size_t end,
                         const BlendStreamOptions& options, const BlendConsumers& consumers,
                         const Progress& progress);

// The most that StreamBlend holds at a time, in bytes.
struct BlendStreamMemory {
  uint64_t buffers = 0;  // windows and sums
  uint64_t mapped = 0;   // pages of torch.save files whose sums are checked
  uint64_t copies = 0;   // of tensors that do not lie in order in their files
};
BlendStreamMemory PlanBlendStream(const WeightBlend& blend, const BlendStreamOptions& options,
                                  bool ingredients_are_consumed);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_STREAM_H_
