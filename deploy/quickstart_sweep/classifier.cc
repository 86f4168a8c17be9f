#include "deploy/quickstart_sweep/classifier.h"

#include <cmath>
#include <vector>

namespace stockpot {
namespace {

constexpr int64_t kBatch = 32;
constexpr int64_t kChannels = 16;
constexpr int64_t kClasses = 10;

constexpr char kForward[] = R"(
def forward(self, images):
    x = torch.relu(torch.conv2d(images, self.first.weight, self.first.bias, [1, 1], [1, 1]))
    x = torch.relu(torch.conv2d(x, self.second.weight, self.second.bias, [2, 2], [1, 1]))
    x = torch.relu(torch.conv2d(x, self.third.weight, self.third.bias, [1, 1], [1, 1]))
    return torch.addmm(self.head.bias, torch.flatten(x, 1), torch.t(self.head.weight))
)";

// He et al., 2015: weights scaled so that signals keep their size through rectified layers.
torch::jit::Module Layer(const char* name, std::vector<int64_t> shape) {
  const int64_t outputs = shape[0];
  torch::Tensor weight = torch::randn(shape);
  weight *= std::sqrt(2.0 / static_cast<double>(weight.numel() / outputs));
  torch::jit::Module layer(name);
  layer.register_parameter("weight", weight.requires_grad_(), /*is_buffer=*/false);
  layer.register_parameter("bias", torch::zeros({outputs}).requires_grad_(), /*is_buffer=*/false);
  return layer;
}

torch::Tensor Logits(const torch::Tensor& images, torch::jit::Module* classifier) {
  return classifier->forward({images}).toTensor();
}

torch::Tensor Loss(const Examples& batch, const Training& training,
                   torch::jit::Module* classifier) {
  const torch::Tensor images =
      Distort(batch.images, training.degrees, training.pixels, training.noise);
  const torch::Tensor partner = torch::randperm(images.size(0));
  const double share = training.mixup * torch::rand({1}).item<double>();
  const torch::Tensor logits =
      Logits(images * (1 - share) + images.index_select(0, partner) * share, classifier);
  const auto loss = [&](const torch::Tensor& labels) {
    return torch::nn::functional::cross_entropy(
        logits, labels,
        torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(training.label_smoothing));
  };
  return loss(batch.labels) * (1 - share) + loss(batch.labels.index_select(0, partner)) * share;
}

}  // namespace

torch::jit::Module MakeClassifier(uint64_t seed) {
  torch::manual_seed(seed);
  torch::jit::Module classifier("DigitClassifier");
  classifier.register_module("first", Layer("First", {kChannels, 1, 3, 3}));
  classifier.register_module("second", Layer("Second", {2 * kChannels, kChannels, 3, 3}));
  classifier.register_module("third", Layer("Third", {2 * kChannels, 2 * kChannels, 3, 3}));
  classifier.register_module("head", Layer("Head", {kClasses, 2 * kChannels * 4 * 4}));
  classifier.define(kForward);
  return classifier;
}

void Train(const Examples& examples, const Training& training, torch::jit::Module* classifier) {
  torch::manual_seed(training.seed);
  std::vector<torch::Tensor> parameters;
  for (const torch::Tensor& parameter : classifier->parameters()) parameters.push_back(parameter);
  torch::optim::SGD optimizer(parameters, torch::optim::SGDOptions(training.learning_rate)
                                              .momentum(0.9)
                                              .weight_decay(training.weight_decay));
  const int64_t count = examples.images.size(0);
  for (int epoch = 0; epoch < training.epochs; ++epoch) {
    const torch::Tensor order = torch::randperm(count);
    for (int64_t begin = 0; begin < count; begin += kBatch) {
      const torch::Tensor rows = order.slice(0, begin, begin + kBatch);
      optimizer.zero_grad();
      Loss({examples.images.index_select(0, rows), examples.labels.index_select(0, rows)}, training,
           classifier)
          .backward();
      optimizer.step();
    }
  }
}

double Accuracy(const Examples& examples, torch::jit::Module* classifier) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor hits = Logits(examples.images, classifier).argmax(1) == examples.labels;
  return hits.to(torch::kFloat64).mean().item<double>();
}

}  // namespace stockpot
