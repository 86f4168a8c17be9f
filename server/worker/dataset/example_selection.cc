#include "server/worker/dataset/example_selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Output `index` of SplitMix64 from the state `seed`. Outputs of a seed differ from each other.
uint64_t Rank(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

absl::StatusOr<size_t> SubsetSize(size_t candidates, const ExampleSelection& selection) {
  if (selection.fraction != 0) {
    return std::min(candidates, static_cast<size_t>(std::floor(
                                    selection.fraction * static_cast<double>(candidates) + 0.5)));
  }
  const auto count = static_cast<uint64_t>(std::max<int64_t>(0, selection.count));
  if (count > candidates) {
    return WithReason(absl::InvalidArgumentError(
                          absl::StrCat("a subset of ", count, " of ", candidates, " examples")),
                      "DATA_SET_INVALID");
  }
  return count;
}

}  // namespace

bool Selects(const ExampleSelection& selection) { return selection.draws || selection.limit > 0; }

absl::StatusOr<std::vector<size_t>> SelectExamples(size_t candidates,
                                                   const ExampleSelection& selection) {
  std::vector<size_t> chosen(candidates);
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  if (selection.draws) {
    ASSIGN_OR_RETURN(const size_t size, SubsetSize(candidates, selection));
    const auto middle = chosen.begin() + static_cast<ptrdiff_t>(size);
    const auto smaller = [&](size_t a, size_t b) {
      return Rank(selection.seed, a) < Rank(selection.seed, b);
    };
    if (middle != chosen.end()) std::nth_element(chosen.begin(), middle, chosen.end(), smaller);
    chosen = selection.complement ? std::vector<size_t>(middle, chosen.end())
                                  : std::vector<size_t>(chosen.begin(), middle);
    std::sort(chosen.begin(), chosen.end());
  }
  if (selection.limit > 0) {
    chosen.resize(std::min(chosen.size(), static_cast<size_t>(selection.limit)));
  }
  if (!chosen.empty()) return chosen;
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat("the selection leaves none of ", candidates, " examples")),
                    "DATA_SET_EMPTY");
}

std::string DescribeSelection(const ExampleSelection& selection) {
  return absl::StrCat(selection.draws, " ", selection.fraction, " ", selection.count, " ",
                      selection.seed, " ", selection.complement, " ", selection.limit);
}

}  // namespace stockpot
