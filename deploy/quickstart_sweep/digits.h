// deploy/quickstart_sweep: a small sweep trained on the spot, for deploy/quickstart.
//
// Digits: 1,797 handwritten digits scanned to 8 x 8 pixels of 0 to 16, from the file that the
// scikit-learn package carries (source: UCI's "Optical Recognition of Handwritten Digits").
#ifndef STOCKPOT_DEPLOY_QUICKSTART_SWEEP_DIGITS_H_
#define STOCKPOT_DEPLOY_QUICKSTART_SWEEP_DIGITS_H_

#include <string>

#include "absl/status/statusor.h"
#include "torch/torch.h"

namespace stockpot {

struct Examples {
  torch::Tensor images;  // float32 [N, 1, 8, 8] in [0, 1]
  torch::Tensor labels;  // int64 [N] in [0, 10)
};

struct Digits {
  Examples train;     // 200: few, so that single models are far from the limit
  Examples held_out;  // 600: what a recipe chooses on
  Examples test;      // the other 997
};

// Reads the comma-separated file (64 pixels and the label per line) and splits it, the same way
// every time. INVALID_ARGUMENT names the line that is not such a scan.
absl::StatusOr<Digits> ReadDigits(const std::string& path);

// Each image rotated by up to `degrees`, moved by up to `pixels` in both directions, and given
// Gaussian noise of standard deviation `noise`. Draws from torch's generator.
torch::Tensor Distort(const torch::Tensor& images, double degrees, double pixels, double noise);

}  // namespace stockpot

#endif  // STOCKPOT_DEPLOY_QUICKSTART_SWEEP_DIGITS_H_
