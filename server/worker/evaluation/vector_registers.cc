#include "server/worker/evaluation/vector_registers.h"

namespace stockpot {

void ClearUpperVectorRegisters() {
#if defined(__x86_64__)
  static const bool has_upper_halves = __builtin_cpu_supports("avx") != 0;
  if (has_upper_halves) asm volatile("vzeroupper");
#endif
}

}  // namespace stockpot
