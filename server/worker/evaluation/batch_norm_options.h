// How BatchNorm layers gather their statistics. No torch type here. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_OPTIONS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

struct BatchNormOptions {
  std::vector<InputBinding> inputs;
  int batch_size = 250;
  // Patterns of tensors (name_pattern.h): layers whose running_mean or running_var match keep the
  // statistics they have.
  std::vector<std::string> kept;
  // The dtype that a statistic is rounded to, given the module's tensor.
  std::function<DType(const TensorInfo& tensor)> dtype_of;
  // Called after each batch with the examples done; a non-OK result ends the work with it.
  std::function<absl::Status(int64_t examples_done)> progress;
};

// Examples that layers gather from: whole batches, or what there is of less than one.
int64_t BatchNormExamples(int64_t example_count, int batch_size);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_OPTIONS_H_
