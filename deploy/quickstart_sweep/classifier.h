// A small convolutional network for the digits, as TorchScript: what is trained is what is served.
#ifndef STOCKPOT_DEPLOY_QUICKSTART_SWEEP_CLASSIFIER_H_
#define STOCKPOT_DEPLOY_QUICKSTART_SWEEP_CLASSIFIER_H_

#include "deploy/quickstart_sweep/digits.h"
#include "torch/script.h"

namespace stockpot {

// One point of the sweep: how a model is trained. Plain stochastic gradient descent with momentum.
struct Training {
  int epochs = 15;
  double learning_rate = 0.02;
  double weight_decay = 1e-4;
  double label_smoothing = 0;
  double mixup = 0;     // weight of a second example, drawn from [0, mixup]; Zhang et al., 2018
  double degrees = 10;  // augmentation: see Distort
  double pixels = 0.5;
  double noise = 0.1;
  uint64_t seed = 0;  // of the order of examples, augmentation and mixup
};

// The network with random weights: images [N, 1, 8, 8] to logits [N, 10].
torch::jit::Module MakeClassifier(uint64_t seed);

void Train(const Examples& examples, const Training& training, torch::jit::Module* classifier);

// Share of examples whose largest logit is the label's.
double Accuracy(const Examples& examples, torch::jit::Module* classifier);

}  // namespace stockpot

#endif  // STOCKPOT_DEPLOY_QUICKSTART_SWEEP_CLASSIFIER_H_
