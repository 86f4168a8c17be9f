#include "server/worker/evaluation/ensemble.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/metrics.h"
#include "server/worker/evaluation/temperature.h"

namespace stockpot {
namespace {

constexpr size_t kBlockElements = 1 << 16;  // what one core's second-level cache holds in float64

absl::Status Check(const Ensemble& ensemble) {
  const size_t members = ensemble.members.size();
  if (members == 0) return absl::InvalidArgumentError("an ensemble of no members");
  if (!ensemble.coefficients.empty() && ensemble.coefficients.size() != members) {
    return absl::InvalidArgumentError(
        absl::StrCat(members, " members, but ", ensemble.coefficients.size(), " coefficients"));
  }
  for (const absl::Span<const float> member : ensemble.members) {
    if (member.size() == ensemble.members[0].size()) continue;
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat("the members give ", ensemble.members[0].size(),
                                                " and ", member.size(), " logits")),
        "MODEL_OUTPUT_MISMATCH");
  }
  return absl::OkStatus();
}

// Elements [begin, begin + out.size()) of the ensemble's logits.
void AverageBlock(const Ensemble& ensemble, size_t begin, absl::Span<float> out,
                  std::vector<double>* sums) {
  sums->assign(out.size(), 0.0);
  for (size_t k = 0; k < ensemble.members.size(); ++k) {
    const double coefficient = ensemble.coefficients.empty() ? 1 : ensemble.coefficients[k];
    const float* const values = ensemble.members[k].data() + begin;
    for (size_t i = 0; i < out.size(); ++i) (*sums)[i] += coefficient * values[i];
  }
  // Division and not a product: the mean of equals is exactly theirs.
  const double divisor =
      ensemble.coefficients.empty() ? static_cast<double>(ensemble.members.size()) : 1;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>((*sums)[i] / divisor);
}

// Scores logits that came out of FitTemperature.
absl::StatusOr<EnsembleMeasurement> MeasureFitted(const Ensemble& ensemble, const DataSet& data_set,
                                                  const Progress& progress) {
  std::vector<float> all;
  all.reserve(ensemble.members[0].size());
  RETURN_IF_ERROR(AverageLogits(ensemble, [&](const OutputBatch& batch) {
    all.insert(all.end(), batch.values.begin(), batch.values.end());
    return absl::OkStatus();
  }));
  // Labels are looked at before they are indices.
  ASSIGN_OR_RETURN(auto metrics, Metrics::Create(Problem::kClassification, data_set));
  const OutputBatch batch{.first = 0,
                          .count = data_set.size(),
                          .examples = {},
                          .classes = ensemble.classes,
                          .values = all};
  RETURN_IF_ERROR(metrics->Add(batch));
  EnsembleMeasurement found;
  ASSIGN_OR_RETURN(found.temperature, FitTemperature({all, ensemble.classes, data_set.labels()},
                                                     [&] { return progress(0, data_set.size()); }));
  ASSIGN_OR_RETURN(metrics, Metrics::Create(Problem::kClassification, data_set, found.temperature));
  RETURN_IF_ERROR(metrics->Add(batch));
  found.measurement = metrics->Finish();
  RETURN_IF_ERROR(progress(data_set.size(), data_set.size()));
  return found;
}

}  // namespace

absl::Status AverageLogits(const Ensemble& ensemble, const OutputSink& sink) {
  RETURN_IF_ERROR(Check(ensemble));
  const auto classes = static_cast<size_t>(ensemble.classes);
  const size_t examples = ensemble.members[0].size() / classes;
  const size_t block = std::max<size_t>(1, kBlockElements / classes);
  std::vector<float> values;
  std::vector<double> sums;
  for (size_t first = 0; first < examples; first += block) {
    const size_t count = std::min(block, examples - first);
    values.resize(count * classes);
    AverageBlock(ensemble, first * classes, absl::MakeSpan(values), &sums);
    RETURN_IF_ERROR(sink({.first = static_cast<int64_t>(first),
                          .count = static_cast<int64_t>(count),
                          .examples = {},
                          .classes = ensemble.classes,
                          .values = values}));
  }
  return absl::OkStatus();
}

absl::StatusOr<EnsembleMeasurement> MeasureEnsemble(const Ensemble& ensemble,
                                                    const DataSet& data_set,
                                                    const EnsembleOptions& options,
                                                    const Progress& progress) {
  RETURN_IF_ERROR(Check(ensemble));
  if (options.fit_temperature) {
    if (options.problem == Problem::kClassification) {
      return MeasureFitted(ensemble, data_set, progress);
    }
    return absl::InvalidArgumentError("only a classification's temperature can be fitted");
  }
  EnsembleMeasurement found{.measurement = {}, .temperature = options.temperature};
  ASSIGN_OR_RETURN(const auto metrics,
                   Metrics::Create(options.problem, data_set, options.temperature));
  RETURN_IF_ERROR(AverageLogits(ensemble, [&](const OutputBatch& batch) -> absl::Status {
    RETURN_IF_ERROR(metrics->Add(batch));
    return progress(batch.first + batch.count, data_set.size());
  }));
  found.measurement = metrics->Finish();
  return found;
}

}  // namespace stockpot
