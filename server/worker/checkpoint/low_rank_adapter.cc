#include "server/worker/checkpoint/low_rank_adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/adapter_plan.h"
#include "server/worker/checkpoint/elements.h"

namespace stockpot {
namespace {

// Rows of a matrix that one thread makes at a time.
constexpr size_t kRowsTogether = 16;

absl::StatusOr<std::vector<double>> ReadDoubles(const StateDict& state_dict, size_t index) {
  std::vector<char> scratch;
  ASSIGN_OR_RETURN(const absl::Span<const char> bytes, state_dict.Read(index, &scratch));
  const TensorInfo& info = state_dict.tensors()[index];
  std::vector<double> numbers(static_cast<size_t>(info.element_count()));
  LoadElements(info.dtype, bytes, 0, absl::MakeSpan(numbers));
  return numbers;
}

std::vector<double> Transposed(const std::vector<double>& matrix, size_t rows, size_t columns) {
  std::vector<double> out(matrix.size());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) out[j * rows + i] = matrix[i * columns + j];
  }
  return out;
}

// W + scale · leftᵀ right, of which `left` is [rank, rows] and `right` [rank, columns].
struct Sum {
  DType dtype;
  absl::Span<const char> weight;
  std::vector<double> left, right;
  size_t rank, rows, columns;
  double scale;

  void Row(size_t row, double* out, double* delta) const {
    std::fill(delta, delta + columns, 0.0);
    for (size_t k = 0; k < rank; ++k) {
      const double factor = left[k * rows + row];
      const double* const from = right.data() + k * columns;
      for (size_t j = 0; j < columns; ++j) delta[j] += factor * from[j];
    }
    LoadElements(dtype, weight, row * columns, absl::MakeSpan(out, columns));
    for (size_t j = 0; j < columns; ++j) out[j] += scale * delta[j];
  }
};

// Calls `use(row, numbers)` for every row, from several threads.
template <typename Use>
absl::Status ForEachRow(const Sum& sum, const Use& use) {
  const size_t blocks = (sum.rows + kRowsTogether - 1) / kRowsTogether;
  return ForEachInParallel(blocks, [&](size_t block) {
    std::vector<double> numbers(sum.columns), delta(sum.columns);
    const size_t end = std::min(sum.rows, (block + 1) * kRowsTogether);
    for (size_t row = block * kRowsTogether; row < end; ++row) {
      sum.Row(row, numbers.data(), delta.data());
      use(row, absl::MakeSpan(numbers));
    }
    return absl::OkStatus();
  });
}

class MergedStateDict final : public StateDict {
 public:
  MergedStateDict(std::shared_ptr<const StateDict> base, std::shared_ptr<const StateDict> adapter,
                  AdapterPlan plan)
      : base_(std::move(base)),
        adapter_(std::move(adapter)),
        format_(absl::StrCat("LoRA adapter over ", base_->format())),
        notes_(std::move(plan.notes)) {
    std::map<std::string, Place> places;
    for (size_t i = 0; i < base_->tensors().size(); ++i) {
      places[base_->tensors()[i].name].base = i;
    }
    for (auto& [name, change] : plan.changes) places[name].change = change;
    for (auto& [name, place] : places) {
      tensors_.push_back(place.base.has_value() ? base_->tensors()[*place.base]
                                                : adapter_->tensors()[*place.change->replaced_by]);
      tensors_.back().name = name;
      places_.push_back(place);
    }
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::string_view format() const override { return format_; }
  const std::vector<std::string>& notes() const override { return notes_; }
  bool IsCopied(size_t index) const override {
    const Place& place = places_[index];
    return place.change.has_value() || base_->IsCopied(*place.base);
  }
  absl::StatusOr<absl::Span<const char>> Read(size_t index,
                                              std::vector<char>* scratch) const override {
    const Place& place = places_[index];
    if (!place.change.has_value()) return base_->Read(*place.base, scratch);
    std::vector<char> source;  // what the weights are before factors
    absl::Span<const char> weight;
    if (place.change->replaced_by.has_value()) {
      ASSIGN_OR_RETURN(weight, ReadWhole(index, *place.change->replaced_by, &source));
    } else {
      ASSIGN_OR_RETURN(weight, base_->Read(*place.base, &source));
    }
    scratch->resize(tensors_[index].byte_count());
    RETURN_IF_ERROR(Merge(tensors_[index], *place.change, weight, scratch->data()));
    return absl::MakeConstSpan(*scratch);
  }
  absl::Status Copy(size_t index, size_t offset, absl::Span<char> out) const override {
    const Place& place = places_[index];
    if (place.change.has_value()) return StateDict::Copy(index, offset, out);
    return base_->Copy(*place.base, offset, out);
  }

 private:
  struct Place {
    std::optional<size_t> base;
    std::optional<TensorChange> change;
  };

  // An adapter's tensor in the dtype of the base's.
  absl::StatusOr<absl::Span<const char>> ReadWhole(size_t index, size_t whole,
                                                   std::vector<char>* source) const {
    if (adapter_->tensors()[whole].dtype == tensors_[index].dtype) {
      return adapter_->Read(whole, source);
    }
    ASSIGN_OR_RETURN(const std::vector<double> numbers, ReadDoubles(*adapter_, whole));
    source->resize(tensors_[index].byte_count());
    StoreElements(numbers, tensors_[index].dtype, source->data());
    return absl::MakeConstSpan(*source);
  }

  absl::Status Merge(const TensorInfo& info, const TensorChange& change,
                     absl::Span<const char> weight, char* out) const {
    if (change.added_bias.has_value()) return AddBias(info, change, weight, out);
    if (!change.a.has_value()) {
      std::memcpy(out, weight.data(), weight.size());
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Sum sum, MakeSum(info, change, weight));
    std::vector<double> norms, magnitude;
    if (change.magnitude.has_value()) {
      ASSIGN_OR_RETURN(magnitude, ReadDoubles(*adapter_, *change.magnitude));
      ASSIGN_OR_RETURN(norms, Norms(sum, change.transposed));
    }
    const size_t row_bytes = sum.columns * DTypeSize(info.dtype);
    return ForEachRow(sum, [&](size_t row, absl::Span<double> numbers) {
      for (size_t j = 0; !norms.empty() && j < numbers.size(); ++j) {
        const size_t output = change.transposed ? j : row;
        numbers[j] *= magnitude[output] / norms[output];
      }
      StoreElements(numbers, info.dtype, out + row * row_bytes);
    });
  }

  absl::Status AddBias(const TensorInfo& info, const TensorChange& change,
                       absl::Span<const char> weight, char* out) const {
    ASSIGN_OR_RETURN(std::vector<double> bias, ReadDoubles(*adapter_, *change.added_bias));
    std::vector<double> numbers(bias.size());
    LoadElements(info.dtype, weight, 0, absl::MakeSpan(numbers));
    for (size_t i = 0; i < bias.size(); ++i) numbers[i] += change.scale * bias[i];
    StoreElements(numbers, info.dtype, out);
    return absl::OkStatus();
  }

  absl::StatusOr<Sum> MakeSum(const TensorInfo& info, const TensorChange& change,
                              absl::Span<const char> weight) const {
    ASSIGN_OR_RETURN(std::vector<double> a, ReadDoubles(*adapter_, *change.a));
    ASSIGN_OR_RETURN(std::vector<double> b, ReadDoubles(*adapter_, *change.b));
    const auto rank = static_cast<size_t>(adapter_->tensors()[*change.a].shape[0]);
    const size_t outputs = b.size() / rank, inputs = a.size() / rank;
    std::vector<double> b_by_rank = Transposed(b, outputs, rank);
    if (change.transposed) {
      return Sum{info.dtype, weight, std::move(a), std::move(b_by_rank),
                 rank,       inputs, outputs,      change.scale};
    }
    return Sum{info.dtype, weight, std::move(b_by_rank), std::move(a), rank,
               outputs,    inputs, change.scale};
  }

  // Of each output's weights.
  static absl::StatusOr<std::vector<double>> Norms(const Sum& sum, bool transposed) {
    std::vector<double> squares(transposed ? sum.columns : sum.rows, 0.0);
    if (!transposed) {
      RETURN_IF_ERROR(ForEachRow(sum, [&](size_t row, absl::Span<double> numbers) {
        for (const double number : numbers) squares[row] += number * number;
      }));
    } else {
      // By one thread: sums in one order have the same bits each time.
      std::vector<double> numbers(sum.columns), delta(sum.columns);
      for (size_t row = 0; row < sum.rows; ++row) {
        sum.Row(row, numbers.data(), delta.data());
        for (size_t j = 0; j < sum.columns; ++j) squares[j] += numbers[j] * numbers[j];
      }
    }
    for (double& square : squares) square = std::sqrt(square);
    return squares;
  }

  const std::shared_ptr<const StateDict> base_, adapter_;
  const std::string format_;
  const std::vector<std::string> notes_;
  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;  // of tensors_, in the same order
};

}  // namespace

absl::StatusOr<std::shared_ptr<const StateDict>> MergeAdapter(
    const std::shared_ptr<const StateDict>& base, const std::shared_ptr<const StateDict>& adapter,
    const AdapterConfig& config) {
  ASSIGN_OR_RETURN(AdapterPlan plan, PlanAdapter(*base, *adapter, config));
  return std::make_shared<MergedStateDict>(base, adapter, std::move(plan));
}

}  // namespace stockpot
