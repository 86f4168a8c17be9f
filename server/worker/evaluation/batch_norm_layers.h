// The BatchNorm layers of a TorchScript module, and the gathering of their statistics.
// Internal to evaluation/.
//
// Source: torch.optim.swa_utils.update_bn (Izmailov et al. 2018, arXiv 1803.05407): over the
// batches, the plain mean of each batch's mean and unbiased variance. There momentum is set to
// None; in a TorchScript module it is a constant of the program. So each batch starts from
// statistics of 0, of which a forward() in training makes momentum · (the batch's), which is
// divided by momentum. Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_LAYERS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_LAYERS_H_

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace stockpot {

struct BatchNormLayer {
  std::string name;  // of the module: "layer1.norm"
  torch::jit::Module module;
  at::Tensor mean, variance;       // the module's own running_mean, running_var
  at::Tensor tracked;              // num_batches_tracked; undefined: there is none
  std::optional<double> momentum;  // none: a cumulative mean over calls, as momentum=None
};

// Those that can be told to gather, by name: with running_mean and running_var, a `training` that
// can be set and that its methods look at (those of a traced module do not), and a momentum above 0
// or, with num_batches_tracked, of None.
std::vector<BatchNormLayer> FindBatchNormLayers(const torch::jit::Module& module);

// Gathers over batches. While it lives its layers, and nothing else, are in training.
class BatchNormGatherer {
 public:
  explicit BatchNormGatherer(std::vector<BatchNormLayer> layers);
  ~BatchNormGatherer();
  BatchNormGatherer(const BatchNormGatherer&) = delete;
  BatchNormGatherer& operator=(const BatchNormGatherer&) = delete;

  // Before and after a batch's forward(). Errors: UNIMPLEMENTED a layer with a momentum ran twice
  // in it: then the two cannot be told apart; DATA_LOSS (reason NON_FINITE_OUTPUT).
  void BeginBatch();
  absl::Status EndBatch();

  struct Statistics {
    const BatchNormLayer* layer;
    at::Tensor mean, variance;  // float64 on the CPU
    int64_t batches;            // in which the layer ran; 0: mean and variance are undefined
  };
  std::vector<Statistics> Finish() const;

 private:
  struct Sum {
    at::Tensor mean, variance;
    int64_t batches = 0;
  };
  const std::vector<BatchNormLayer> layers_;
  std::vector<Sum> sums_;  // of layers_, in the same order
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_NORM_LAYERS_H_
