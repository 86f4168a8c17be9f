// How much of a long loop over cases a test does: every Thinning()th of them. 1 unless
// STOCKPOT_TEST_THINNING says more, as the sanitizers' presets do: there the faults of one case are
// those of its neighbours, and each takes ten times as long.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace stockpot {

inline int Thinning() {
  const char* given = std::getenv("STOCKPOT_TEST_THINNING");
  return given == nullptr ? 1 : std::max(1, std::atoi(given));
}

}  // namespace stockpot
