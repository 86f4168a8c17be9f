#include "server/worker/soup/blend_stream.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/mapped_file.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/zip_archive.h"
#include "server/worker/soup/blend_coefficients.h"
#include "server/worker/soup/blend_kernel.h"

namespace stockpot {
namespace {

// Of what is read, summed and made, whichever is the largest: sum and ingredient stay in a core's
// second-level cache, so that copying an ingredient there costs little more than reading it where
// it is mapped would, and less than mapping it and forgetting it again.
constexpr size_t kPartBytes = 256 << 10;
// A window of tiny tensors is bounded too.
constexpr size_t kMaxPartsOfWindow = 4096;
// Of doubles, which sums may be made of.
constexpr size_t kAlignment = sizeof(double);

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
    const size_t widest = std::max({StoredSize(blend, t), MadeSize(blend, t),
                                    SumSize(blend.ingredients[0]->tensors()[t].dtype)});
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
      const int64_t seen = done + Release(windows_[w - 1]);
      do {  // of a window without an end of a tensor too: whoever watches may want to stop
        done = std::min(done + 1, seen);
        RETURN_IF_ERROR(progress(done, static_cast<int64_t>(tensors_.size())));
      } while (done < seen);
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

  // Room for a sum and an ingredient, kept for the next part. There are as many as threads.
  class Scratch {
   public:
    Scratch(Stream* stream, size_t byte_count) : stream_(stream) {
      {
        const absl::MutexLock lock(&stream_->mutex_);
        if (!stream_->scratches_.empty()) {
          doubles_ = std::move(stream_->scratches_.back());
          stream_->scratches_.pop_back();
        }
      }
      doubles_.resize(std::max(doubles_.size(), byte_count / sizeof(double) + 1));
    }
    ~Scratch() {
      const absl::MutexLock lock(&stream_->mutex_);
      stream_->scratches_.push_back(std::move(doubles_));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    char* data() { return reinterpret_cast<char*>(doubles_.data()); }

   private:
    Stream* const stream_;
    std::vector<double> doubles_;  // for their alignment
  };

  absl::Status Make(const Part& part, char* buffer) {
    Tensor& tensor = tensors_[part.tensor - begin_];
    std::call_once(tensor.once, [&] { tensor.blend = Open(part.tensor); });
    const absl::StatusOr<OpenTensor>& blend = *tensor.blend;
    if (!blend.ok()) return blend.status();
    const size_t sum_bytes = blend->SumBytes(part.count) / kAlignment * kAlignment + kAlignment;
    Scratch scratch(this, sum_bytes + part.count * StoredSize(blend_, part.tensor));
    return AtTensor(part.tensor,
                    blend->Make(part.begin, part.count, scratch.data(), scratch.data() + sum_bytes,
                                buffer + part.window_offset));
  }

  absl::StatusOr<OpenTensor> Open(size_t t) const {
    absl::StatusOr<OpenTensor> opened =
        OpenTensor::Open(blend_.ingredients,
                         CoefficientsOfTensor(blend_.coefficients, blend_.ingredients.size(),
                                              blend_.ingredients[0]->tensors().size(), t),
                         t, blend_.dtype);
    if (!opened.ok()) return AtTensor(t, opened.status());
    return opened;
  }

  absl::Status AtTensor(size_t t, const absl::Status& status) const {
    if (status.ok()) return status;
    return Annotate(status,
                    absl::StrCat("tensor '", blend_.ingredients[0]->tensors()[t].name, "'"));
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
    for (const Part& part : windows_[w].parts) {
      const size_t size = StoredSize(blend_, part.tensor);
      ASSIGN_OR_RETURN(const absl::Span<const char> elements,
                       ReadPart(k, part.tensor, part.begin * size, part.count * size));
      RETURN_IF_ERROR(consumers_.ingredients[k]({part.tensor, part.begin * size, elements}));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<absl::Span<const char>> ReadPart(size_t k, size_t t, size_t offset, size_t size) {
    Reader& reader = readers_[k];
    const StateDict& ingredient = *blend_.ingredients[k];
    if (!ingredient.IsCopied(t)) {
      reader.copy.resize(size);
      RETURN_IF_ERROR(ingredient.Copy(t, offset, absl::MakeSpan(reader.copy)));
      return reader.copy;
    }
    if (reader.tensor != t) {
      ASSIGN_OR_RETURN(reader.elements, ingredient.Read(t, &reader.copy));
      reader.tensor = t;
    }
    return reader.elements.subspan(offset, size);
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
  absl::Mutex mutex_;
  std::vector<std::vector<double>> scratches_ ABSL_GUARDED_BY(mutex_);  // that nobody uses now
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
  const auto threads = static_cast<uint64_t>(options.threads > 0 ? options.threads : CoreCount());
  const std::vector<Window> windows =
      DivideIntoWindows(blend, 0, blend.ingredients[0]->tensors().size(), options.window_bytes);
  BlendStreamMemory memory;
  memory.buffers = 2 * LargestWindow(windows) + threads * 2 * kPartBytes;
  if (ingredients_are_consumed) memory.buffers += blend.ingredients.size() * kPartBytes;
  uint64_t copied_before = 0;
  for (const Window& window : windows) {
    const uint64_t copied = CopiedBytes(blend, window);
    memory.copies = std::max(memory.copies, copied + copied_before);
    copied_before = copied;
  }
  // While a copy is made, what it is made of is mapped.
  memory.copies *= ingredients_are_consumed ? 4 : 2;
  const bool sums_are_checked =
      std::any_of(blend.ingredients.begin(), blend.ingredients.end(),
                  [](const auto& ingredient) { return ingredient->format() == "torch.save"; });
  if (sums_are_checked) {
    memory.mapped = threads * (kSumCheckPieceBytes + 2 * MappedFile::kMappedAroundBytes);
  }
  return memory;
}

}  // namespace stockpot
