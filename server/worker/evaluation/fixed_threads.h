// Sums over a batch (gradients, BatchNorm statistics) depend on how many threads make them: these
// are always made by four. So does what a forward pass allocates: that is measured with one. One is
// also what each of several threads that run a model side by side computes with. Internal to
// evaluation/.
// Thread safety: confined to one thread, which nothing computes beside but what it starts.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_FIXED_THREADS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_FIXED_THREADS_H_

#include <ATen/Parallel.h>

namespace stockpot {

// LibTorch computes with so many threads while this lives, then with as many as before.
class FixedThreads {
 public:
  explicit FixedThreads(int count = 4) {
    at::init_num_threads();
    before_ = at::get_num_threads();
    at::set_num_threads(count);
  }
  ~FixedThreads() { at::set_num_threads(before_); }
  FixedThreads(const FixedThreads&) = delete;
  FixedThreads& operator=(const FixedThreads&) = delete;

 private:
  int before_ = 1;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_FIXED_THREADS_H_
