// A logit ensemble's logits: Σ cᵢ·fᵢ in float64 in the members' order (without coefficients their
// sum divided by their number), rounded to float32. Source: Wortsman et al. 2022 (arXiv
// 2203.05482), section 2, "logit ensemble". Of a regression the same of outputs. Thread safety: the
// functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_ENSEMBLE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_ENSEMBLE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/progress.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

struct Ensemble {
  // Each member's logits, row-major [examples, classes].
  std::vector<absl::Span<const float>> members;
  std::vector<double> coefficients;  // empty: the mean
  int64_t classes = 0;
};

struct EnsembleOptions {
  double temperature = 1;
  bool fit_temperature = false;  // finds it first; needs the logits of all examples at once
  Problem problem = Problem::kClassification;
};

struct EnsembleMeasurement {
  Measurement measurement;
  double temperature = 1;
};

// The ensemble's logits in blocks of examples, so that memory does not grow with members or
// examples. Errors: INVALID_ARGUMENT no members, another number of coefficients, members of
// different sizes; what `sink` gave.
absl::Status AverageLogits(const Ensemble& ensemble, const OutputSink& sink);

// Scores it. `progress` counts examples. Errors: those of AverageLogits, Metrics and
// FitTemperature; what `progress` gave.
absl::StatusOr<EnsembleMeasurement> MeasureEnsemble(const Ensemble& ensemble,
                                                    const DataSet& data_set,
                                                    const EnsembleOptions& options,
                                                    const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_ENSEMBLE_H_
