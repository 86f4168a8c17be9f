#include "server/worker/soup/blend_stream.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/soup/blend_coefficients.h"

namespace stockpot {
namespace {

// Of the wider of what is read and what is made. Smaller parts cost more than they save: each takes
// two calls of the kernel for each ingredient, and the last one makes every other core forget
// pages.
constexpr size_t kPartBytes = 1 << 20;
// A window of tiny tensors is bounded too.
constexpr size_t kMaxPartsOfWindow = 4096;
// Below that a fault or two is cheaper than a hint.
constexpr size_t kMinHintedBytes = 64 << 10;

struct Part {
  size_t tensor;
  size_t begin, count;   // in elements
  size_t window_offset;  // of the soup's bytes
  bool last;             // of its tensor
};

struct Window {
  std::vector<Part> parts;
  size_t byte_count = 0;
};

size_t StoredSize(const WeightBlend& blend, size_t tensor) {
  return DTypeSize(blend.ingredients[0]->tensors()[tensor].dtype);
}

size_t MadeSize(const WeightBlend& blend, size_t tensor) {
  return DTypeSize(BlendDType(blend.ingredients[0]->tensors()[tensor].dtype, blend.dtype));
}

std::vector<Window> DivideIntoWindows(const WeightBlend& blend, size_t begin, size_t end,
                                      size_t window_bytes) {
  std::vector<Window> windows;
  const auto add = [&](const Part& part) {
    const size_t bytes = part.count * MadeSize(blend, part.tensor);
    if (windows.empty() || windows.back().parts.size() == kMaxPartsOfWindow ||
        windows.back().byte_count + bytes > window_bytes) {
      windows.emplace_back();
    }
    Window& window = windows.back();
    window.parts.push_back(part);
    window.parts.back().window_offset = window.byte_count;
    window.byte_count += bytes;
  };
  for (size_t t = begin; t < end; ++t) {
    const auto elements = static_cast<size_t>(blend.ingredients[0]->tensors()[t].element_count());
    const size_t widest = std::max(StoredSize(blend, t), MadeSize(blend, t));
    const size_t most = std::max<size_t>(1, std::min(kPartBytes, window_bytes) / widest);
    size_t done = 0;
    do {
      const size_t count = std::min(most, elements - done);
      add({t, done, count, 0, done + count == elements});
      done += count;
    } while (done < elements);
  }
  return windows;
}

size_t LargestWindow(const std::vector<Window>& windows) {
  size_t largest = 0;
  for (const Window& window : windows) largest = std::max(largest, window.byte_count);
  return largest;
}

// One run of StreamBlend.
class Stream {
 public:
  Stream(const WeightBlend& blend, size_t begin, size_t end, const BlendStreamOptions& options,
         const BlendConsumers& consumers)
      : blend_(blend),
        begin_(begin),
        options_(options),
        consumers_(consumers),
        windows_(DivideIntoWindows(blend, begin, end, options.window_bytes)),
        tensors_(end - begin),
        readers_(consumers.ingredients.size()) {}

  absl::Status Run(const Progress& progress) {
    for (std::vector<char>& buffer : buffers_) buffer.resize(LargestWindow(windows_));
    int64_t done = 0;
    for (size_t w = 0; w <= windows_.size(); ++w) {
      RETURN_IF_ERROR(MakeAndConsume(w));
      if (w == 0) continue;
      done += Release(windows_[w - 1]);
      RETURN_IF_ERROR(progress(done, static_cast<int64_t>(tensors_.size())));
    }
    return absl::OkStatus();
  }

 private:
  // Opened by the first part that comes to it.
  struct Tensor {
    std::once_flag once;
    std::optional<absl::StatusOr<OpenTensor>> blend;
  };
  // Where an ingredient's consumer is.
  struct Reader {
    std::optional<size_t> tensor;
    std::vector<char> copy;
    absl::Span<const char> elements;
  };

  // Makes window `w` while the one before is consumed. The consumers go first: each is one long
  // piece of work, which would hold up the others at the end.
  absl::Status MakeAndConsume(size_t w) {
    const size_t soup_count = w == 0 ? 0 : consumers_.soup.size();
    const size_t consumer_count = w == 0 ? 0 : soup_count + consumers_.ingredients.size();
    const size_t part_count = w == windows_.size() ? 0 : windows_[w].parts.size();
    return ForEachInParallel(
        consumer_count + part_count,
        [&](size_t i) {
          if (i < soup_count) return Consume(w - 1, consumers_.soup[i]);
          if (i < consumer_count) return ConsumeIngredient(w - 1, i - soup_count);
          return Make(windows_[w].parts[i - consumer_count], BufferOf(w));
        },
        Unwatched, options_.threads);
  }

  char* BufferOf(size_t w) { return buffers_[w % buffers_.size()].data(); }

  absl::Status Make(const Part& part, char* buffer) {
    Tensor& tensor = tensors_[part.tensor - begin_];
    std::call_once(tensor.once, [&] { tensor.blend = Open(part.tensor); });
    const absl::StatusOr<OpenTensor>& blend = *tensor.blend;
    if (!blend.ok()) return blend.status();
    const size_t offset = part.begin * StoredSize(blend_, part.tensor);
    const size_t size = part.count * StoredSize(blend_, part.tensor);
    const auto hint = [&](auto give) {
      for (size_t k = 0; k < blend->ingredient_count(); ++k) {
        const StateDict& ingredient = *blend_.ingredients[k];
        if (!ingredient.IsCopied(part.tensor)) (ingredient.*give)(part.tensor, offset, size);
      }
    };
    if (size >= kMinHintedBytes) hint(&StateDict::WillRead);
    blend->Make(part.begin, part.count, buffer + part.window_offset);
    if (consumers_.ingredients.empty()) hint(&StateDict::DoneReading);
    return absl::OkStatus();
  }

  absl::StatusOr<OpenTensor> Open(size_t t) const {
    absl::StatusOr<OpenTensor> opened =
        OpenTensor::Open(blend_.ingredients,
                         CoefficientsOfTensor(blend_.coefficients, blend_.ingredients.size(),
                                              blend_.ingredients[0]->tensors().size(), t),
                         t, blend_.dtype);
    if (!opened.ok()) return Annotate(opened.status(), absl::StrCat("tensor '", Name(t), "'"));
    for (size_t k = 0; k < opened->ingredient_count(); ++k) ForgetCopied(k, t);
    return opened;
  }

  const std::string& Name(size_t t) const { return blend_.ingredients[0]->tensors()[t].name; }

  // What was copied is not read again.
  void ForgetCopied(size_t k, size_t t) const {
    const StateDict& ingredient = *blend_.ingredients[k];
    if (ingredient.IsCopied(t)) ingredient.DoneReading(t, 0, ingredient.tensors()[t].byte_count());
  }

  absl::Status Consume(size_t w, const PartConsumer& consumer) {
    for (const Part& part : windows_[w].parts) {
      const size_t element_size = MadeSize(blend_, part.tensor);
      RETURN_IF_ERROR(consumer({part.tensor,
                                part.begin * element_size,
                                {BufferOf(w) + part.window_offset, part.count * element_size}}));
    }
    return absl::OkStatus();
  }

  absl::Status ConsumeIngredient(size_t w, size_t k) {
    Reader& reader = readers_[k];
    const StateDict& ingredient = *blend_.ingredients[k];
    for (const Part& part : windows_[w].parts) {
      if (reader.tensor != part.tensor) {
        ASSIGN_OR_RETURN(reader.elements, ingredient.Read(part.tensor, &reader.copy));
        reader.tensor = part.tensor;
        ForgetCopied(k, part.tensor);
      }
      const size_t offset = part.begin * StoredSize(blend_, part.tensor);
      const size_t size = part.count * StoredSize(blend_, part.tensor);
      RETURN_IF_ERROR(
          consumers_.ingredients[k]({part.tensor, offset, reader.elements.subspan(offset, size)}));
      if (!ingredient.IsCopied(part.tensor)) ingredient.DoneReading(part.tensor, offset, size);
    }
    return absl::OkStatus();
  }

  // How many tensors ended with the window.
  int64_t Release(const Window& window) {
    int64_t ended = 0;
    for (const Part& part : window.parts) {
      if (!part.last) continue;
      tensors_[part.tensor - begin_].blend.reset();
      ++ended;
    }
    return ended;
  }

  const WeightBlend& blend_;
  const size_t begin_;
  const BlendStreamOptions& options_;
  const BlendConsumers& consumers_;
  const std::vector<Window> windows_;
  std::vector<Tensor> tensors_;  // from begin_ on
  std::vector<Reader> readers_;
  std::array<std::vector<char>, 2> buffers_;
};

// Of all ingredients, and of the tensors that have a part in the window.
uint64_t CopiedBytes(const WeightBlend& blend, const Window& window) {
  uint64_t bytes = 0;
  std::optional<size_t> last;
  for (const Part& part : window.parts) {
    if (last == part.tensor) continue;
    last = part.tensor;
    for (const auto& ingredient : blend.ingredients) {
      if (ingredient->IsCopied(*last)) bytes += ingredient->tensors()[*last].byte_count();
    }
  }
  return bytes;
}

uint64_t StoredBytes(const WeightBlend& blend, const Window& window) {
  uint64_t bytes = 0;
  for (const Part& part : window.parts) bytes += part.count * StoredSize(blend, part.tensor);
  return bytes;
}

}  // namespace

absl::Status StreamBlend(const WeightBlend& blend, size_t begin, size_t end,
                         const BlendStreamOptions& options, const BlendConsumers& consumers,
                         const Progress& progress) {
  if (blend.ingredients.empty()) return absl::InvalidArgumentError("a blend needs an ingredient");
  if (begin > end || end > blend.ingredients[0]->tensors().size() || options.window_bytes == 0) {
    return absl::InvalidArgumentError("no such tensors, or windows of no size");
  }
  if (!consumers.ingredients.empty() && consumers.ingredients.size() != blend.ingredients.size()) {
    return absl::InvalidArgumentError("consumers for some of the ingredients");
  }
  RETURN_IF_ERROR(CheckCoefficients(blend.coefficients.size(), blend.ingredients.size(),
                                    blend.ingredients[0]->tensors().size()));
  return Stream(blend, begin, end, options, consumers).Run(progress);
}

BlendStreamMemory PlanBlendStream(const WeightBlend& blend, const BlendStreamOptions& options,
                                  bool ingredients_are_consumed) {
  // A page that is used maps up to this much around it, on either side of a part.
  constexpr uint64_t kFaultAround = 64 << 10;
  // Of a torch.save entry whose sum is checked, and of a sum on its way.
  constexpr uint64_t kOfEachThread = (4 << 20) + (256 << 10);
  const auto threads = static_cast<uint64_t>(options.threads > 0 ? options.threads : CoreCount());
  const uint64_t ingredients = blend.ingredients.size();
  const std::vector<Window> windows =
      DivideIntoWindows(blend, 0, blend.ingredients[0]->tensors().size(), options.window_bytes);
  BlendStreamMemory memory;
  memory.buffers = 2 * LargestWindow(windows) + threads * kOfEachThread;
  memory.mapped = threads * ingredients * (kPartBytes + 2 * kFaultAround);
  uint64_t stored_before = 0, copied_before = 0;
  for (const Window& window : windows) {
    const uint64_t stored = StoredBytes(blend, window);
    const uint64_t copied = CopiedBytes(blend, window);
    if (ingredients_are_consumed) {
      const uint64_t around = 2 * kFaultAround * ingredients;
      memory.mapped = std::max(memory.mapped, ingredients * (stored + stored_before) + 2 * around);
    }
    memory.copies = std::max(memory.copies, copied + copied_before);
    stored_before = stored;
    copied_before = copied;
  }
  if (ingredients_are_consumed) memory.copies *= 2;
  return memory;
}

}  // namespace stockpot
