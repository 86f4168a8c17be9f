#include "server/worker/soup/inner_products.h"

#include <algorithm>
#include <array>
#include <functional>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/elements.h"

namespace stockpot {
namespace {

constexpr size_t kBlockProducts = 4096;
constexpr size_t kLanes = 8;

// The moves of all ingredients in one block, and what they add to the Gram matrix.
class MovesOfTensor {
 public:
  MovesOfTensor(size_t ingredient_count, std::vector<double>* products)
      : count_(ingredient_count),
        moves_(ingredient_count, std::vector<double>(kBlockProducts)),
        origin_(kBlockProducts),
        products_(*products) {}

  absl::Status Add(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                   const StateDict& base, size_t index,
                   const std::function<absl::Status()>& keep_going) {
    const TensorInfo& info = base.tensors()[index];
    std::vector<char> base_scratch;
    std::vector<std::vector<char>> scratch(count_);
    ASSIGN_OR_RETURN(const absl::Span<const char> origin, base.Read(index, &base_scratch));
    std::vector<absl::Span<const char>> inputs;
    for (size_t k = 0; k < count_; ++k) {
      ASSIGN_OR_RETURN(const absl::Span<const char> input,
                       ingredients[k]->Read(index, &scratch[k]));
      inputs.push_back(input);
    }
    const auto elements = static_cast<size_t>(info.element_count());
    for (size_t begin = 0; begin < elements; begin += kBlockProducts) {
      RETURN_IF_ERROR(keep_going());
      AddBlock(info.dtype, origin, inputs, begin, std::min(kBlockProducts, elements - begin));
    }
    return absl::OkStatus();
  }

 private:
  void AddBlock(DType dtype, absl::Span<const char> origin,
                absl::Span<const absl::Span<const char>> inputs, size_t begin, size_t count) {
    LoadElements(dtype, origin, begin, absl::MakeSpan(origin_.data(), count));
    for (size_t k = 0; k < count_; ++k) {
      std::vector<double>& move = moves_[k];
      LoadElements(dtype, inputs[k], begin, absl::MakeSpan(move.data(), count));
      for (size_t i = 0; i < count; ++i) move[i] -= origin_[i];
    }
    for (size_t a = 0; a < count_; ++a) {
      for (size_t b = 0; b <= a; ++b) {
        products_[a * count_ + b] += InnerProduct(absl::MakeConstSpan(moves_[a].data(), count),
                                                  absl::MakeConstSpan(moves_[b].data(), count));
      }
    }
  }

  const size_t count_;
  std::vector<std::vector<double>> moves_;
  std::vector<double> origin_;
  std::vector<double>& products_;
};

}  // namespace

double InnerProduct(absl::Span<const double> a, absl::Span<const double> b) {
  std::array<double, kLanes> sums = {};
  const size_t whole = a.size() - a.size() % kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t i = whole; i < a.size(); ++i) sums[i - whole] += a[i] * b[i];
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

absl::StatusOr<double> InnerProduct(const StateDict& state_dict, size_t index,
                                    absl::Span<const float> gradient) {
  std::vector<char> scratch;
  ASSIGN_OR_RETURN(const absl::Span<const char> elements, state_dict.Read(index, &scratch));
  const DType dtype = state_dict.tensors()[index].dtype;
  std::array<double, kBlockProducts> weights, slopes;
  double sum = 0;
  for (size_t begin = 0; begin < gradient.size(); begin += kBlockProducts) {
    const size_t count = std::min(kBlockProducts, gradient.size() - begin);
    LoadElements(dtype, elements, begin, absl::MakeSpan(weights.data(), count));
    std::copy_n(gradient.begin() + static_cast<ptrdiff_t>(begin), count, slopes.begin());
    sum += InnerProduct(absl::MakeConstSpan(weights.data(), count),
                        absl::MakeConstSpan(slopes.data(), count));
  }
  return sum;
}

absl::StatusOr<std::vector<double>> InnerProductsOfMoves(
    absl::Span<const std::shared_ptr<const StateDict>> ingredients, const StateDict& base,
    const Progress& progress) {
  const size_t k = ingredients.size();
  std::vector<double> products(k * k, 0.0);
  MovesOfTensor moves(k, &products);
  const auto total = static_cast<int64_t>(base.tensors().size());
  for (size_t t = 0; t < base.tensors().size(); ++t) {
    const auto keep_going = [&] { return progress(static_cast<int64_t>(t), total); };
    const TensorInfo& info = base.tensors()[t];
    if (!IsFloatingPoint(info.dtype) || base.IsFixed(t)) continue;
    RETURN_IF_ERROR(Annotate(moves.Add(ingredients, base, t, keep_going),
                             absl::StrCat("tensor '", info.name, "'")));
  }
  for (size_t a = 0; a < k; ++a) {
    for (size_t b = 0; b < a; ++b) products[b * k + a] = products[a * k + b];
  }
  RETURN_IF_ERROR(progress(total, total));
  return products;
}

}  // namespace stockpot
