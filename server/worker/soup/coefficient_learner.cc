#include "server/worker/soup/coefficient_learner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
constexpr absl::string_view kMagic = "SPLEARN1";
constexpr size_t kDigestSize = 64;

static_assert(std::endian::native == std::endian::little, "the state is little-endian");

template <typename Number>
void Append(const std::vector<Number>& numbers, std::string* out) {
  out->append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number));
}

// Moves `numbers.size()` of them from the front of `bytes`, which are long enough.
template <typename Number>
void Take(absl::string_view* bytes, std::vector<Number>* numbers) {
  std::memcpy(numbers->data(), bytes->data(), numbers->size() * sizeof(Number));
  bytes->remove_prefix(numbers->size() * sizeof(Number));
}

absl::Status BadState(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the state of the epoch before ", what));
}

}  // namespace

CoefficientLearner::CoefficientLearner(Options options) : options_(std::move(options)) {
  const size_t count = options_.ingredients * columns();
  const double start = options_.constraint == Constraint::kFree
                           ? 1.0 / static_cast<double>(options_.ingredients)
                           : 0.0;
  parameters_.assign(count, start);
  parameters_.push_back(1.0);
  first_moments_.assign(count + 1, 0.0);
  second_moments_.assign(count + 1, 0.0);
}

absl::StatusOr<CoefficientLearner> CoefficientLearner::Start(Options options) {
  const size_t columns = options.learnable.size();
  if (options.ingredients == 0 || columns == 0) {
    return absl::InvalidArgumentError("there are no coefficients to learn");
  }
  if (columns > kMaxCoefficients || options.ingredients > kMaxCoefficients / columns) {
    return absl::InvalidArgumentError(absl::StrCat(options.ingredients, " ingredients of ", columns,
                                                   " tensors have more than the ", kMaxCoefficients,
                                                   " coefficients that can be learned"));
  }
  if (!std::isfinite(options.learning_rate) || options.learning_rate <= 0 ||
      !std::isfinite(options.weight_decay) || options.weight_decay < 0) {
    return absl::InvalidArgumentError(
        "the learning rate must be a number above 0, the weight decay one that is not below");
  }
  return CoefficientLearner(std::move(options));
}

absl::StatusOr<CoefficientLearner> CoefficientLearner::Resume(Options options,
                                                              absl::string_view state) {
  ASSIGN_OR_RETURN(CoefficientLearner learner, Start(std::move(options)));
  if (state.size() != learner.State().size() || !absl::StartsWith(state, kMagic)) {
    return BadState("has another form, or is of other ingredients");
  }
  const absl::string_view content = state.substr(0, state.size() - kDigestSize);
  if (Sha256Hex(content) != state.substr(content.size())) return BadState("is damaged");

  absl::string_view rest = content.substr(kMagic.size());
  std::vector<int64_t> header(learner.Header().size());
  Take(&rest, &header);
  learner.epochs_ = header[4];
  learner.steps_ = header[5];
  if (learner.Header() != header || learner.epochs_ < 0 || learner.steps_ < 0) {
    return BadState("is of other options");
  }
  for (auto* numbers : {&learner.parameters_, &learner.first_moments_, &learner.second_moments_}) {
    Take(&rest, numbers);
    for (const double number : *numbers) {
      if (!std::isfinite(number)) return BadState("holds what is no finite number");
    }
  }
  return learner;
}

std::vector<int64_t> CoefficientLearner::Header() const {
  return {static_cast<int64_t>(options_.ingredients),
          static_cast<int64_t>(columns()),
          static_cast<int64_t>(options_.constraint),
          options_.fixed_temperature ? 1 : 0,
          epochs_,
          steps_};
}

std::string CoefficientLearner::State() const {
  std::string state(kMagic);
  Append(Header(), &state);
  for (const auto* numbers : {&parameters_, &first_moments_, &second_moments_}) {
    Append(*numbers, &state);
  }
  return absl::StrCat(state, Sha256Hex(state));
}

std::vector<double> CoefficientLearner::Coefficients() const {
  const size_t k = options_.ingredients;
  std::vector<double> coefficients(parameters_.begin(), parameters_.end() - 1);
  if (options_.constraint == Constraint::kFree) return coefficients;
  for (size_t column = 0; column < columns(); ++column) {
    const auto each = [&](auto change) {
      for (size_t i = 0; i < k; ++i) change(coefficients[i * columns() + column]);
    };
    double sum = 0;
    if (options_.constraint == Constraint::kSoftmax) {
      double largest = coefficients[column];
      each([&](double a) { largest = std::max(largest, a); });
      each([&](double& a) { sum += a = std::exp(a - largest); });
      each([&](double& a) { a /= sum; });
    } else {
      each([&](double a) { sum += a; });
      const double shift = (1.0 - sum) / static_cast<double>(k);
      each([&](double& a) { a += shift; });
    }
  }
  return coefficients;
}

void CoefficientLearner::ApplyChainRule(size_t column, absl::Span<const double> coefficients,
                                        std::vector<double>* gradient) const {
  const size_t k = options_.ingredients;
  double mean = 0;  // softmax: weighted by α
  for (size_t i = 0; i < k; ++i) {
    const size_t at = i * columns() + column;
    mean += options_.constraint == Constraint::kSoftmax ? coefficients[at] * (*gradient)[at]
                                                        : (*gradient)[at] / static_cast<double>(k);
  }
  for (size_t i = 0; i < k; ++i) {
    const size_t at = i * columns() + column;
    (*gradient)[at] -= mean;
    if (options_.constraint == Constraint::kSoftmax) (*gradient)[at] *= coefficients[at];
  }
}

void CoefficientLearner::Update(size_t index, double gradient, double weight_decay) {
  double& parameter = parameters_[index];
  double& first = first_moments_[index];
  double& second = second_moments_[index];
  parameter *= 1.0 - options_.learning_rate * weight_decay;
  first += (1.0 - kBeta1) * (gradient - first);
  second = kBeta2 * second + (1.0 - kBeta2) * gradient * gradient;
  const auto step = static_cast<double>(steps_);
  const double step_size = options_.learning_rate / (1.0 - std::pow(kBeta1, step));
  const double root = std::sqrt(1.0 - std::pow(kBeta2, step));
  parameter -= step_size * first / (std::sqrt(second) / root + kEpsilon);
}

void CoefficientLearner::Step(absl::Span<const double> coefficient_gradient,
                              double inverse_temperature_gradient) {
  ++steps_;
  std::vector<double> gradient(coefficient_gradient.begin(), coefficient_gradient.end());
  const std::vector<double> coefficients = Coefficients();
  for (size_t column = 0; column < columns(); ++column) {
    if (!options_.learnable[column]) continue;
    if (options_.constraint != Constraint::kFree) ApplyChainRule(column, coefficients, &gradient);
    for (size_t i = 0; i < options_.ingredients; ++i) {
      const size_t at = i * columns() + column;
      Update(at, gradient[at], options_.weight_decay);
    }
  }
  if (!options_.fixed_temperature) {
    Update(parameters_.size() - 1, inverse_temperature_gradient, /*weight_decay=*/0);
  }
}

}  // namespace stockpot
