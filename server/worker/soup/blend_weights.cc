#include "server/worker/soup/blend_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/worker/soup/blend_kernel.h"

namespace stockpot {
namespace {

// Elements whose sum is made before the next ones are touched: sum and inputs stay in the cache.
constexpr size_t kBlockElements = 4096;

absl::Status CheckArguments(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                            absl::Span<const double> coefficients, size_t index,
                            std::optional<DType> requested) {
  if (ingredients.empty()) return absl::InvalidArgumentError("a blend needs an ingredient");
  if (!coefficients.empty() && coefficients.size() != ingredients.size()) {
    return absl::InvalidArgumentError(absl::StrCat(coefficients.size(), " coefficients for ",
                                                   ingredients.size(), " ingredients"));
  }
  if (requested.has_value() && !IsFloatingPoint(*requested)) {
    return absl::InvalidArgumentError(
        absl::StrCat("output dtype ", DTypeName(*requested), " is not floating-point"));
  }
  for (const auto& ingredient : ingredients) {
    if (index >= ingredient->tensors().size() ||
        !(ingredient->tensors()[index] == ingredients[0]->tensors()[index])) {
      return absl::InvalidArgumentError(absl::StrCat("ingredients differ in tensor ", index));
    }
  }
  return absl::OkStatus();
}

}  // namespace

DType BlendDType(DType stored, std::optional<DType> requested) {
  return IsFloatingPoint(stored) ? requested.value_or(stored) : stored;
}

std::vector<TensorInfo> BlendedTensors(const WeightBlend& blend) {
  std::vector<TensorInfo> tensors = blend.ingredients[0]->tensors();
  for (TensorInfo& tensor : tensors) tensor.dtype = BlendDType(tensor.dtype, blend.dtype);
  return tensors;
}

absl::StatusOr<OpenTensor> OpenTensor::Open(
    absl::Span<const std::shared_ptr<const StateDict>> ingredients,
    absl::Span<const double> coefficients, size_t index, std::optional<DType> requested,
    KeptSum kept) {
  RETURN_IF_ERROR(CheckArguments(ingredients, coefficients, index, requested));
  const TensorInfo& info = ingredients[0]->tensors()[index];
  const bool from_first = !IsFloatingPoint(info.dtype) || ingredients[0]->IsFixed(index);
  OpenTensor tensor;
  tensor.index_ = index;
  tensor.stored_ = info.dtype;
  tensor.dtype_ = BlendDType(info.dtype, requested);
  tensor.element_count_ = static_cast<size_t>(info.element_count());
  tensor.identity_ =
      from_first || (ingredients.size() == 1 && (coefficients.empty() || coefficients[0] == 1.0));
  if (!tensor.identity_) tensor.coefficients_.assign(coefficients.begin(), coefficients.end());
  const size_t used = from_first ? 1 : ingredients.size();
  if (!tensor.identity_ && coefficients.empty() && kept.summed < used) tensor.kept_ = kept;
  tensor.copies_.resize(used);
  for (size_t k = 0; k < used; ++k) {
    // What is summed already is not looked at.
    if (k < tensor.kept_.summed) {
      tensor.inputs_.push_back(nullptr);
      tensor.ingredients_.push_back(nullptr);
      continue;
    }
    ASSIGN_OR_RETURN(const absl::Span<const char> elements,
                     ingredients[k]->Read(index, &tensor.copies_[k]));
    tensor.inputs_.push_back(elements.data());
    tensor.ingredients_.push_back(ingredients[k]->IsCopied(index) ? nullptr : ingredients[k].get());
  }
  return tensor;
}

size_t OpenTensor::SumBytes(size_t count) const {
  return identity_ && dtype_ == stored_ ? 0 : count * SumSize(stored_);
}

void OpenTensor::BeginWithKept(size_t begin, size_t count, char* sum) const {
  char* kept = kept_.sum + begin * SumSize(stored_);
  for (size_t k = kept_.summed; k + 1 < inputs_.size(); ++k) {
    AddToSum(stored_, inputs_[k] + begin * DTypeSize(stored_), count, std::nullopt, /*add=*/k > 0,
             kept, BestInstructionSet());
  }
  std::memcpy(sum, kept, count * SumSize(stored_));
}

absl::Status OpenTensor::Make(size_t begin, size_t count, char* sum, char* room, char* out) const {
  if (count == 0) return absl::OkStatus();
  const size_t from = begin * DTypeSize(stored_);
  const size_t size = count * DTypeSize(stored_);
  const size_t used = identity_ ? 1 : inputs_.size();
  const InstructionSet instructions = BestInstructionSet();
  const bool summed = SumBytes(count) > 0;
  size_t k = 0;
  if (kept_.sum != nullptr) {
    BeginWithKept(begin, count, sum);
    k = used - 1;
  }
  for (; k < used; ++k) {
    const char* input = inputs_[k] + from;
    if (room != nullptr && ingredients_[k] != nullptr) {
      RETURN_IF_ERROR(ingredients_[k]->Copy(index_, from, {summed ? room : out, size}));
      input = room;
    } else if (!summed) {
      std::memcpy(out, input, size);
    }
    if (!summed) return absl::OkStatus();
    const std::optional<double> coefficient =
        coefficients_.empty() ? std::nullopt : std::optional(coefficients_[k]);
    AddToSum(stored_, input, count, coefficient, /*add=*/k > 0, sum, instructions);
  }
  StoreSum(stored_, sum, count, coefficients_.empty() ? used : 1, dtype_, out, instructions);
  return absl::OkStatus();
}

absl::Status BlendTensor(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                         absl::Span<const double> coefficients, size_t index,
                         std::optional<DType> requested, absl::Span<char> out, KeptSum kept,
                         BlockRunner parallel) {
  ASSIGN_OR_RETURN(const OpenTensor tensor,
                   OpenTensor::Open(ingredients, coefficients, index, requested, kept));
  const size_t count = tensor.element_count();
  const size_t size = count * DTypeSize(tensor.dtype());
  if (out.size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", ingredients[0]->tensors()[index].name, "' blends to ", size,
                     " bytes, room for ", out.size(), " was given"));
  }
  absl::Mutex mutex;
  absl::Status status;  // the last error there was
  const auto make = [&](int64_t from, int64_t to) {
    alignas(double) std::array<char, kBlockElements * sizeof(double)> sum;
    const size_t end = std::min(count, static_cast<size_t>(to) * kBlockElements);
    for (size_t at = static_cast<size_t>(from) * kBlockElements; at < end; at += kBlockElements) {
      absl::Status made =
          tensor.Make(at, std::min(kBlockElements, end - at), sum.data(),
                      /*room=*/nullptr, out.data() + at * DTypeSize(tensor.dtype()));
      if (made.ok()) continue;
      const absl::MutexLock lock(&mutex);
      status = std::move(made);
      return;
    }
  };
  parallel(static_cast<int64_t>((count + kBlockElements - 1) / kBlockElements), make);
  return status;
}

}  // namespace stockpot
