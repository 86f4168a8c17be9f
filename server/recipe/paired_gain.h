// Whether one model is better than another on the same examples, from which of them each has right.
//
// Source: McNemar 1947, in the exact binomial form; Efron's percentile bootstrap over examples.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_RECIPE_PAIRED_GAIN_H_
#define STOCKPOT_SERVER_RECIPE_PAIRED_GAIN_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/recipe/spec.h"

namespace stockpot {

struct PairedCounts {
  int64_t examples = 0;
  int64_t only_first = 0;   // examples that the first alone has right
  int64_t only_second = 0;  // the second alone
};

// From the correctness bits of two measures (worker.v1.Result.examples). INTERNAL when there are
// too few bytes for so many examples.
absl::StatusOr<PairedCounts> CompareExamples(absl::string_view first, absl::string_view second,
                                             int64_t examples);

// Two-sided: the chance that so many discordant examples split at least so unevenly, were each of
// them a fair coin. 1 when there are none.
double McNemarExact(const PairedCounts& counts);

// The interval of (only_first - only_second) / examples that holds `confidence.level` of the
// bootstrap's resamples. A resample of n examples with replacement has multinomial counts: those
// are drawn, which is the same and does not take n draws.
std::pair<double, double> BootstrapInterval(const PairedCounts& counts,
                                            const ConfidenceSpec& confidence);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PAIRED_GAIN_H_
