// The half of model_inputs.h that copies examples into batches.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/worker/evaluation/model_inputs.h"
#include "server/worker/evaluation/torch_dtype.h"

namespace stockpot {
namespace {

constexpr int64_t kLeastCopy = 1 << 20;  // bytes that are worth the start of a thread
constexpr int64_t kMostCopy = 256 << 20;

// The example in row `i` of a batch: after the last one, the last one again.
int64_t RowAt(absl::Span<const int64_t> examples, int64_t i) {
  return examples[std::min(static_cast<size_t>(i), examples.size() - 1)];
}

std::vector<int64_t> BatchShape(const InputInfo& info, int64_t batch_size,
                                int64_t length = kAnyLength) {
  std::vector<int64_t> shape = info.shape;
  if (info.varies()) shape[0] = length;
  shape.insert(shape.begin(), batch_size);
  return shape;
}

// [examples, numbers], as numbers of 8 bytes where an example is so many: they are fewer to pick,
// and an index beyond 2^31 is slow. Else as bytes. In parts, so that what they pass through on
// their way to a card stays small.
at::Tensor CopyAll(const DataSet& data_set, size_t input, c10::Device device) {
  const InputInfo& info = data_set.inputs()[input];
  const bool wide = info.byte_count % sizeof(int64_t) == 0;
  const c10::ScalarType type = wide ? torch::kInt64 : torch::kUInt8;
  const auto numbers = static_cast<int64_t>(info.byte_count / c10::elementSize(type));
  at::Tensor all =
      torch::empty({data_set.size(), numbers}, torch::TensorOptions(type).device(device));
  const auto step = std::max<int64_t>(kMostCopy / static_cast<int64_t>(info.byte_count), 1);
  for (int64_t first = 0; first < data_set.size(); first += step) {
    const int64_t count = std::min(step, data_set.size() - first);
    auto* const bytes = const_cast<char*>(data_set.example(input, first));
    all.narrow(0, first, count).copy_(torch::from_blob(bytes, {count, numbers}, type));
  }
  return all;
}

}  // namespace

void ModelInputs::KeepOnDevice(ResidentTensors* resident) {
  if (data_set_->is_streamed()) return;  // what no disk may hold
  for (Bound& bound : bound_) {
    const InputInfo& info = data_set_->inputs()[bound.input];
    // Text is small, and is padded in memory.
    if (info.byte_count == 0 || info.varies()) continue;
    std::string key = absl::StrCat("data/", data_set_->digest(), "/", bound.input);
    auto kept = resident->Find(key);
    if (kept == nullptr) {
      if (!resident->MakeRoom(static_cast<size_t>(data_set_->size()) * info.byte_count)) continue;
      kept = resident->Keep(std::move(key), {CopyAll(*data_set_, bound.input, device_)});
    }
    bound.all = kept->front();
  }
}

at::Tensor ModelInputs::Read(const Bound& bound, absl::Span<const int64_t> examples,
                             int64_t batch_size) const {
  const InputInfo& info = data_set_->inputs()[bound.input];
  if (bound.all.defined()) {
    at::Tensor indices = torch::empty(
        {batch_size}, torch::TensorOptions(torch::kInt64).pinned_memory(device_.is_cuda()));
    auto* const index = indices.mutable_data_ptr<int64_t>();
    for (int64_t i = 0; i < batch_size; ++i) index[i] = RowAt(examples, i);
    return bound.all.index_select(0, indices.to(device_, /*non_blocking=*/true))
        .view(ToScalarType(info.dtype))
        .view(BatchShape(info, batch_size));
  }
  const auto size = static_cast<int64_t>(info.byte_count);
  at::Tensor batch =
      torch::empty(BatchShape(info, batch_size),
                   torch::TensorOptions(ToScalarType(info.dtype)).pinned_memory(device_.is_cuda()));
  if (size == 0) return batch.to(device_);
  auto* const bytes = static_cast<char*>(batch.mutable_data_ptr());
  at::parallel_for(
      0, batch_size, std::max<int64_t>(kLeastCopy / size, 1), [&](int64_t i, int64_t end) {
        for (; i < end; ++i) {
          std::memcpy(bytes + i * size, data_set_->example(bound.input, RowAt(examples, i)),
                      info.byte_count);
        }
      });
  return batch.to(device_, /*non_blocking=*/true);
}

at::Tensor ModelInputs::ReadPadded(const Bound& bound, absl::Span<const int64_t> examples,
                                   int64_t batch_size, int64_t length) const {
  const InputInfo& info = data_set_->inputs()[bound.input];
  at::Tensor batch =
      torch::empty(BatchShape(info, batch_size, length),
                   torch::TensorOptions(ToScalarType(info.dtype)).pinned_memory(device_.is_cuda()));
  batch.fill_(info.pad_value);
  auto* const bytes = static_cast<char*>(batch.mutable_data_ptr());
  const size_t row = static_cast<size_t>(length) * info.byte_count;
  for (int64_t i = 0; i < batch_size; ++i) {
    const int64_t example = RowAt(examples, i);
    std::memcpy(bytes + static_cast<size_t>(i) * row, data_set_->example(bound.input, example),
                static_cast<size_t>(data_set_->length(example)) * info.byte_count);
  }
  return batch.to(device_, /*non_blocking=*/true);
}

at::Tensor ModelInputs::MakeMask(absl::Span<const int64_t> examples, int64_t batch_size,
                                 int64_t length) const {
  const auto options = torch::TensorOptions(torch::kInt64);
  if (mask_length_ > 0) return torch::ones({batch_size, mask_length_}, options).to(device_);
  at::Tensor mask = torch::zeros({batch_size, length}, options.pinned_memory(device_.is_cuda()));
  auto* const elements = mask.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < batch_size; ++i) {
    std::fill_n(elements + i * length, data_set_->length(RowAt(examples, i)), 1);
  }
  return mask.to(device_, /*non_blocking=*/true);
}

Arguments ModelInputs::Batch(absl::Span<const int64_t> examples, int64_t batch_size,
                             int64_t length) const {
  if (length == 0) {
    for (const int64_t example : examples) length = std::max(length, data_set_->length(example));
  }
  Arguments arguments;
  if (makes_mask_) arguments.named.emplace(kMask, MakeMask(examples, batch_size, length));
  for (const Bound& bound : bound_) {
    at::Tensor value = data_set_->inputs()[bound.input].varies()
                           ? ReadPadded(bound, examples, batch_size, length)
                           : Read(bound, examples, batch_size);
    if (bound.to_float) value = value.to(torch::kFloat32);
    if (bound.divisor.defined()) value.div_(bound.divisor);
    if (bound.mean.defined()) value.sub_(bound.mean).div_(bound.std);
    if (bound.argument.empty()) {
      arguments.positional.emplace_back(std::move(value));
    } else {
      arguments.named.emplace(bound.argument, std::move(value));
    }
  }
  return arguments;
}

std::string ModelInputs::Describe(int64_t batch_size, int64_t length) const {
  return absl::StrJoin(bound_, ", ", [&](std::string* out, const Bound& bound) {
    const InputInfo& info = data_set_->inputs()[bound.input];
    absl::StrAppend(out, info.name, " ",
                    TypeAndShape(bound.to_float ? DType::kFloat32 : info.dtype,
                                 BatchShape(info, batch_size, length)));
  });
}

}  // namespace stockpot
