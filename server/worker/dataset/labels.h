// What the examples of a data set are to be given: read from the label tensor by its dtype and
// rank. Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_LABELS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_LABELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

enum class LabelKind {
  kClasses,  // integers [N], from 0
  kNumbers,  // floating-point [N]
  kTokens,   // integers [N, length]: from 0, or kIgnoredToken
};

// Of kTokens: a position that is not scored, as in PyTorch's cross_entropy.
inline constexpr int64_t kIgnoredToken = -100;

struct Labels {
  LabelKind kind = LabelKind::kClasses;
  int64_t example_count = 0;
  int64_t length = 1;             // of kTokens: labels of one example
  std::vector<int64_t> integers;  // example by example; none of kNumbers
  std::vector<double> numbers;    // of kNumbers
  int64_t class_count = 0;        // largest label + 1; 0 of kNumbers
};

// `bytes` are the elements of `tensor`. float16 and bfloat16 are not read.
// Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID another type or shape, a number that is not
// finite, no token that counts; DATA_SET_EMPTY; LABEL_OUT_OF_RANGE (metadata example).
absl::StatusOr<Labels> ReadLabels(const TensorInfo& tensor, absl::Span<const char> bytes);

// The elements of `bytes` as weights, whatever their shape. Whole numbers, float32 or float64.
// Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID another type, or as CheckWeights.
absl::Status ReadWeights(const TensorInfo& tensor, absl::Span<const char> bytes,
                         std::vector<double>* weights);

// Whether examples (or their tokens, in order) can have these weights. `name` is what holds them.
// Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID one that is negative or not finite (metadata
// example), none that is positive, a sum that is not finite.
absl::Status CheckWeights(const std::string& name, absl::Span<const double> weights,
                          absl::string_view of_each = "example");

// A weight that is text: a decimal number. INVALID_ARGUMENT: it is none, or not finite, or
// negative.
absl::StatusOr<double> ParseWeight(absl::string_view text);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_LABELS_H_
