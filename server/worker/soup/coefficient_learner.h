// The arithmetic of the learned soup: mixing coefficients α under a constraint and an inverse
// temperature β, moved by AdamW. All in float64, and the same on every machine with the same exp(),
// pow() and sqrt().
//
// Source: Wortsman et al. 2022, appendix I; Loshchilov and Hutter 2019 (arXiv 1711.05101), the
// operations in the order of torch.optim.AdamW with betas (0.9, 0.999) and eps 1e-8. Weight decay
// pulls the parameters a, not β.
// Shapes: coefficients and their gradients are k × columns, ingredient by ingredient; columns is 1,
// or the number of tensors. Thread safety: thread-compatible. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_COEFFICIENT_LEARNER_H_
#define STOCKPOT_SERVER_WORKER_SOUP_COEFFICIENT_LEARNER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace stockpot {

class CoefficientLearner {
 public:
  enum class Constraint {
    kSoftmax,   // α = softmax(a), from a = 0
    kFree,      // α = a, from 1/k
    kSumToOne,  // α = a - mean(a) + 1/k, from a = 0
  };
  struct Options {
    Constraint constraint = Constraint::kSoftmax;
    double learning_rate = 0.05;
    double weight_decay = 0;
    bool fixed_temperature = false;  // β stays 1
    size_t ingredients = 0;          // k
    // By column, whether anything depends on its coefficients: others stay as they began.
    std::vector<bool> learnable;
  };
  static constexpr size_t kMaxCoefficients = 100'000;

  // Before the first step. Errors: INVALID_ARGUMENT nothing to learn, more than kMaxCoefficients,
  // or a rate that is not a finite number above 0.
  static absl::StatusOr<CoefficientLearner> Start(Options options);

  // Where State() left off. The form: "SPLEARN1"; k, columns, constraint, fixed_temperature,
  // epochs, steps as int64; a, β, their first moments, their second moments as float64; the SHA-256
  // of all that in 64 hexadecimal digits. Numbers are little-endian. Errors: as Start();
  // INVALID_ARGUMENT a state of another form or size, of other options, or of numbers that are not
  // finite.
  static absl::StatusOr<CoefficientLearner> Resume(Options options, absl::string_view state);

  std::string State() const;
  std::vector<double> Coefficients() const;
  double inverse_temperature() const { return parameters_.back(); }
  int64_t epochs() const { return epochs_; }

  // One step of AdamW, given dL/dα and dL/dβ.
  void Step(absl::Span<const double> coefficient_gradient, double inverse_temperature_gradient);
  void EndEpoch() { ++epochs_; }

 private:
  explicit CoefficientLearner(Options options);

  size_t columns() const { return options_.learnable.size(); }
  std::vector<int64_t> Header() const;
  // dL/da of one column, in place of its dL/dα.
  void ApplyChainRule(size_t column, absl::Span<const double> coefficients,
                      std::vector<double>* gradient) const;
  void Update(size_t index, double gradient, double weight_decay);

  const Options options_;
  int64_t epochs_ = 0;
  int64_t steps_ = 0;
  // a, then β.
  std::vector<double> parameters_, first_moments_, second_moments_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_COEFFICIENT_LEARNER_H_
