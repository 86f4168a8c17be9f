// The learned soup of linear_models.h as a plain program: softmax regression with weights Σ α θ, in
// float64, without a model, and with nothing of the product but the order of examples.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PLAIN_LEARNING_H_
#define STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PLAIN_LEARNING_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/worker/evaluation/learning.h"
#include "server/worker/soup/example_order.h"
#include "tests/server/worker/evaluation/linear_models.h"

namespace stockpot {

class PlainProgram {
 public:
  explicit PlainProgram(const LearningOptions& options)
      : options_(options),
        tensors_(options.per_tensor ? 2 : 1),
        a_(kIngredients * tensors_,
           options.constraint == CoefficientLearner::Constraint::kFree ? 1.0 / 3 : 0.0),
        first_(a_.size() + 1),
        second_(a_.size() + 1) {}

  // α of a tensor: 0 is bias, 1 is weight.
  std::vector<double> Alpha(size_t tensor) const {
    const size_t column = options_.per_tensor ? tensor : 0;
    std::vector<double> alpha;
    double sum = 0;
    for (size_t i = 0; i < kIngredients; ++i) {
      const double a = a_[i * tensors_ + column];
      alpha.push_back(options_.constraint == CoefficientLearner::Constraint::kSoftmax ? std::exp(a)
                                                                                      : a);
      sum += alpha.back();
    }
    for (double& each : alpha) {
      if (options_.constraint == CoefficientLearner::Constraint::kSoftmax) each /= sum;
      if (options_.constraint == CoefficientLearner::Constraint::kSumToOne) each += (1 - sum) / 3;
    }
    return alpha;
  }

  double Epoch(uint64_t epoch) {
    const std::vector<int64_t> order = ExampleOrder(kExamples, options_.seed, epoch);
    const auto batch = static_cast<size_t>(options_.batch_size);
    double sum = 0;
    int count = 0;
    for (size_t at = 0; at < kExamples; at += batch, ++count) {
      sum += Step({order.begin() + static_cast<ptrdiff_t>(at),
                   order.begin() + static_cast<ptrdiff_t>(std::min(kExamples, at + batch))});
    }
    return sum / count;
  }

  double beta = 1;

 private:
  double Step(const std::vector<int64_t>& examples) {
    const std::vector<double> of_bias = Alpha(0), of_weight = Alpha(1);
    double weight_gradient[kClasses][kInputs] = {}, bias_gradient[kClasses] = {};
    double loss = 0, beta_gradient = 0;
    const auto n = static_cast<double>(examples.size());
    for (const int64_t example : examples) {
      const auto e = static_cast<size_t>(example);
      double logits[kClasses] = {}, total = 0;
      for (size_t c = 0; c < kClasses; ++c) {
        for (size_t i = 0; i < kIngredients; ++i) {
          logits[c] += of_bias[i] * Bias(i, c);
          for (size_t j = 0; j < kInputs; ++j) {
            logits[c] += of_weight[i] * Weight(i, c, j) * Input(e, j);
          }
        }
        total += std::exp(beta * logits[c]);
      }
      for (size_t c = 0; c < kClasses; ++c) {
        const bool label = static_cast<int64_t>(c) == Label(e);
        const double p = std::exp(beta * logits[c]) / total;
        if (label) loss -= std::log(p) / n;
        const double slope = (p - (label ? 1 : 0)) / n;
        beta_gradient += slope * logits[c];
        bias_gradient[c] += beta * slope;
        for (size_t j = 0; j < kInputs; ++j) weight_gradient[c][j] += beta * slope * Input(e, j);
      }
    }
    std::vector<double> gradient(a_.size());
    for (size_t i = 0; i < kIngredients; ++i) {
      for (size_t c = 0; c < kClasses; ++c) {
        gradient[i * tensors_] += bias_gradient[c] * Bias(i, c);
        for (size_t j = 0; j < kInputs; ++j) {
          gradient[i * tensors_ + tensors_ - 1] += weight_gradient[c][j] * Weight(i, c, j);
        }
      }
    }
    Move(gradient, beta_gradient);
    return loss;
  }

  void Move(const std::vector<double>& gradient, double beta_gradient) {
    ++steps_;
    std::vector<double> slopes;
    for (size_t at = 0; at < a_.size(); ++at) {
      const size_t column = at % tensors_;
      const std::vector<double> alpha = Alpha(options_.per_tensor ? column : 0);
      // Jacobian of the constraint, written out.
      double slope = 0;
      for (size_t j = 0; j < kIngredients; ++j) {
        const size_t i = at / tensors_;
        const double same = i == j ? 1 : 0;
        const double jacobian = options_.constraint == CoefficientLearner::Constraint::kFree ? same
                                : options_.constraint == CoefficientLearner::Constraint::kSumToOne
                                    ? same - 1.0 / 3
                                    : alpha[j] * (same - alpha[i]);
        slope += jacobian * gradient[j * tensors_ + column];
      }
      slopes.push_back(slope);
    }
    for (size_t at = 0; at < a_.size(); ++at) AdamW(&a_[at], at, slopes[at], options_.weight_decay);
    if (!options_.fixed_temperature) AdamW(&beta, a_.size(), beta_gradient, 0);
  }

  void AdamW(double* parameter, size_t at, double slope, double decay) {
    *parameter -= options_.learning_rate * decay * *parameter;
    first_[at] = 0.9 * first_[at] + 0.1 * slope;
    second_[at] = 0.999 * second_[at] + 0.001 * slope * slope;
    const double first_hat = first_[at] / (1 - std::pow(0.9, steps_));
    const double second_hat = second_[at] / (1 - std::pow(0.999, steps_));
    *parameter -= options_.learning_rate * first_hat / (std::sqrt(second_hat) + 1e-8);
  }

  const LearningOptions options_;
  const size_t tensors_;
  std::vector<double> a_, first_, second_;
  int steps_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_PLAIN_LEARNING_H_
