#include "server/worker/soup/blend_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/soup/float_conversions.h"
#include "server/worker/soup/stored_float.h"

namespace stockpot {
namespace {

// Elements whose sum is made before the next ones are touched: sum and inputs stay in the cache.
constexpr size_t kBlockElements = 4096;

template <typename Number>
void StoreAt(char* elements, size_t index, Number number) {
  std::memcpy(elements + index * sizeof(Number), &number, sizeof(Number));
}

// `sum` as `dtype`, one rounding. A block is converted by a loop without branches.
template <typename Sum>
void StoreBlock(const Sum* sum, size_t count, DType dtype, char* out) {
  const auto store = [&](auto convert) {
    for (size_t i = 0; i < count; ++i) StoreAt(out, i, convert(sum[i]));
  };
  const auto narrow = [](Sum number) {
    if constexpr (std::is_same_v<Sum, double>) {
      return RoundToOdd(number);
    } else {
      return number;
    }
  };
  switch (dtype) {
    case DType::kFloat64:
      return store([](Sum number) { return static_cast<double>(number); });
    case DType::kFloat32:
      return store([](Sum number) { return static_cast<float>(number); });
    case DType::kFloat16:
      return store([&](Sum number) { return Float16::Encode(narrow(number)); });
    case DType::kBFloat16:
      return store([&](Sum number) { return BFloat16::Encode(narrow(number)); });
    case DType::kFloat8E5M2:
      return store([&](Sum number) { return Float8E5M2::Encode(narrow(number)); });
    case DType::kFloat8E4M3:
      return store([&](Sum number) { return Float8E4M3::Encode(narrow(number)); });
    default:
      return;  // BlendDType gives floating-point dtypes for floating-point tensors only
  }
}

template <typename Format>
void Blend(const std::vector<absl::Span<const char>>& inputs, absl::Span<const double> coefficients,
           size_t element_count, DType out_dtype, char* out) {
  using Sum = typename Format::Sum;
  using Stored = typename Format::Stored;
  std::array<Sum, kBlockElements> sum;
  for (size_t begin = 0; begin < element_count; begin += kBlockElements) {
    const size_t count = std::min(kBlockElements, element_count - begin);
    for (size_t k = 0; k < inputs.size(); ++k) {
      const char* input = inputs[k].data() + begin * sizeof(Stored);
      const auto accumulate = [&](auto term) {
        if (k == 0) {
          for (size_t i = 0; i < count; ++i) sum[i] = term(Format::Load(LoadAt<Stored>(input, i)));
        } else {
          for (size_t i = 0; i < count; ++i) sum[i] += term(Format::Load(LoadAt<Stored>(input, i)));
        }
      };
      if (coefficients.empty()) {
        accumulate([](Sum weight) { return weight; });
      } else {
        const auto coefficient = static_cast<Sum>(coefficients[k]);
        accumulate([coefficient](Sum weight) { return coefficient * weight; });
      }
    }
    if (coefficients.empty() && inputs.size() > 1) {
      const Sum scale = Sum{1} / static_cast<Sum>(inputs.size());
      for (size_t i = 0; i < count; ++i) sum[i] *= scale;
    }
    StoreBlock(sum.data(), count, out_dtype, out + begin * DTypeSize(out_dtype));
  }
}

absl::Status CheckArguments(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                            absl::Span<const double> coefficients, size_t index,
                            std::optional<DType> requested, size_t out_size) {
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
  const TensorInfo& info = ingredients[0]->tensors()[index];
  const size_t size =
      static_cast<size_t>(info.element_count()) * DTypeSize(BlendDType(info.dtype, requested));
  if (out_size == size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensor '", info.name, "' blends to ", size,
                                                 " bytes, room for ", out_size, " was given"));
}

}  // namespace

DType BlendDType(DType stored, std::optional<DType> requested) {
  return IsFloatingPoint(stored) ? requested.value_or(stored) : stored;
}

absl::Status BlendTensor(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                         absl::Span<const double> coefficients, size_t index,
                         std::optional<DType> requested, absl::Span<char> out) {
  RETURN_IF_ERROR(CheckArguments(ingredients, coefficients, index, requested, out.size()));
  const TensorInfo& info = ingredients[0]->tensors()[index];
  const DType out_dtype = BlendDType(info.dtype, requested);
  const bool from_first = !IsFloatingPoint(info.dtype) || ingredients[0]->IsFixed(index);
  const bool identity =
      from_first || (ingredients.size() == 1 && (coefficients.empty() || coefficients[0] == 1.0));

  // Strided tensors are copied to `scratch`; others are views.
  const size_t used = from_first ? 1 : ingredients.size();
  std::vector<std::vector<char>> scratch(used);
  std::vector<absl::Span<const char>> inputs;
  for (size_t k = 0; k < used; ++k) {
    ASSIGN_OR_RETURN(const absl::Span<const char> elements,
                     ingredients[k]->Read(index, &scratch[k]));
    inputs.push_back(elements);
  }
  if (out.empty()) return absl::OkStatus();
  if (identity && out_dtype == info.dtype) {
    std::memcpy(out.data(), inputs[0].data(), out.size());
    return absl::OkStatus();
  }
  const absl::Span<const double> used_coefficients =
      identity ? absl::Span<const double>() : coefficients;
  WithStoredFloat(info.dtype, [&](auto stored) {
    Blend<decltype(stored)>(inputs, used_coefficients, static_cast<size_t>(info.element_count()),
                            out_dtype, out.data());
  });
  return absl::OkStatus();
}

}  // namespace stockpot
