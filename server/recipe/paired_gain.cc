#include "server/recipe/paired_gain.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "absl/numeric/bits.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// log C(n, k) p^k (1-p)^(n-k), for 0 < p < 1.
double LogBinomial(int64_t n, int64_t k, double p) {
  const auto count = static_cast<double>(n);
  const auto successes = static_cast<double>(k);
  return std::lgamma(count + 1) - std::lgamma(successes + 1) - std::lgamma(count - successes + 1) +
         successes * std::log(p) + (count - successes) * std::log1p(-p);
}

// Draws from binomial distributions by inverting their distribution function. Those of one p are
// kept: a bootstrap asks for few different n.
class BinomialDraws {
 public:
  explicit BinomialDraws(double p) : p_(p) {}

  int64_t Draw(int64_t n, double uniform) {
    if (p_ <= 0 || n == 0) return 0;
    if (p_ >= 1) return n;
    const Table& table = TableOf(n);
    const auto found = std::lower_bound(table.cumulative.begin(), table.cumulative.end(), uniform);
    const auto offset = std::min<std::ptrdiff_t>(found - table.cumulative.begin(),
                                                 std::ptrdiff_t(table.cumulative.size()) - 1);
    return table.first + offset;
  }

 private:
  struct Table {
    int64_t first = 0;
    std::vector<double> cumulative;
  };

  // Ten standard deviations either side: what lies beyond is less than rounding.
  const Table& TableOf(int64_t n) {
    auto [entry, is_new] = tables_.try_emplace(n);
    if (!is_new) return entry->second;
    const double mean = static_cast<double>(n) * p_;
    const double reach = 10 * std::sqrt(mean * (1 - p_)) + 10;
    Table& table = entry->second;
    table.first = std::max<int64_t>(0, static_cast<int64_t>(mean - reach));
    const int64_t last = std::min<int64_t>(n, static_cast<int64_t>(mean + reach) + 1);
    double sum = 0;
    for (int64_t k = table.first; k <= last; ++k) {
      sum += std::exp(LogBinomial(n, k, p_));
      table.cumulative.push_back(sum);
    }
    return table;
  }

  const double p_;
  std::map<int64_t, Table> tables_;
};

int64_t CountBits(absl::string_view a, absl::string_view b, int64_t examples, bool of_a_alone) {
  int64_t count = 0;
  for (int64_t i = 0; i < examples; i += 8) {
    const auto byte = static_cast<size_t>(i / 8);
    auto first = static_cast<unsigned char>(a[byte]);
    auto second = static_cast<unsigned char>(b[byte]);
    if (!of_a_alone) std::swap(first, second);
    const int64_t left = std::min<int64_t>(8, examples - i);
    const auto mask = static_cast<unsigned char>((1u << left) - 1);
    count += absl::popcount(static_cast<unsigned char>(first & ~second & mask));
  }
  return count;
}

}  // namespace

absl::StatusOr<PairedCounts> CompareExamples(absl::string_view first, absl::string_view second,
                                             int64_t examples) {
  const auto bytes = static_cast<size_t>((examples + 7) / 8);
  if (first.size() < bytes || second.size() < bytes) {
    return absl::InternalError("a measure's correctness bits are fewer than its examples");
  }
  return PairedCounts{examples, CountBits(first, second, examples, true),
                      CountBits(first, second, examples, false)};
}

double McNemarExact(const PairedCounts& counts) {
  const int64_t discordant = counts.only_first + counts.only_second;
  if (discordant == 0) return 1;
  const int64_t fewer = std::min(counts.only_first, counts.only_second);
  double tail = 0;
  for (int64_t k = 0; k <= fewer; ++k) tail += std::exp(LogBinomial(discordant, k, 0.5));
  return std::min(1.0, 2 * tail);
}

std::pair<double, double> BootstrapInterval(const PairedCounts& counts,
                                            const ConfidenceSpec& confidence) {
  const int64_t discordant = counts.only_first + counts.only_second;
  if (discordant == 0 || counts.examples == 0) return {0, 0};
  const auto examples = static_cast<double>(counts.examples);
  BinomialDraws disagreements(static_cast<double>(discordant) / examples);
  BinomialDraws firsts(static_cast<double>(counts.only_first) / static_cast<double>(discordant));
  std::mt19937_64 random(confidence.seed);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  std::vector<int64_t> differences;
  for (int i = 0; i < confidence.bootstrap_samples; ++i) {
    const int64_t drawn = disagreements.Draw(counts.examples, uniform());
    differences.push_back(2 * firsts.Draw(drawn, uniform()) - drawn);
  }
  std::sort(differences.begin(), differences.end());
  const auto at = [&](double share) {
    const auto last = static_cast<double>(differences.size() - 1);
    return static_cast<double>(differences[static_cast<size_t>(std::lround(share * last))]) /
           examples;
  };
  const double tail = (1 - confidence.level) / 2;
  return {at(tail), at(1 - tail)};
}

}  // namespace stockpot
