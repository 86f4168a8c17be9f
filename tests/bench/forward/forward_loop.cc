// Evaluation throughput against a bare LibTorch loop over the same batches, side by side in one
// run.
//
//   forward_loop ARCHITECTURE CHECKPOINT DATA_SET [--threads N] [--batch_size N] [--rounds N]
//       [--device cuda] [--precision BFLOAT16] [--channels_last]
//
// DATA_SET is a safetensors file with images [N, C, H, W] of uint8 and labels. "bare" only runs
// forward() on float batches that are on the device before the clock starts: no reading, no
// conversion, no scores. "evaluation" is all that Runner::Measure does: bytes to floats, forward,
// exact metrics. Prints a line of JSON a round: examples per second of each, their ratio, and how
// long new weights take.
#include <ATen/Parallel.h>
#include <torch/script.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/precision_scope.h"
#include "server/worker/evaluation/torch_device.h"
#include "tests/bench/bench.h"

namespace stockpot {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string architecture, checkpoint, data_set, compiled;
  int threads = 0, batch_size = 250, rounds = 5;
  bool channels_last = false;
  std::string device = "cpu", precision = "FLOAT32";
  std::string cache = "/tmp/stockpot-forward-loop";
};

// The module with the checkpoint's weights, as a user of LibTorch would load them.
torch::jit::Module LoadBare(const Flags& flags, const StateDict& weights) {
  torch::jit::Module module =
      torch::jit::load(flags.architecture, OrDie(OpenTorchDevice(flags.device)));
  module.eval();
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : module.named_parameters()) {
    const auto index = FindTensor(weights.tensors(), parameter.name);
    if (!index.has_value()) continue;
    std::vector<char> scratch;
    const auto bytes = OrDie(weights.Read(*index, &scratch));
    at::Tensor target = parameter.value;
    target.copy_(torch::from_blob(const_cast<char*>(bytes.data()), target.sizes(), torch::kFloat));
  }
  return module;
}

Precision ParsePrecision(const std::string& name) {
  for (const Precision known :
       {Precision::kTf32, Precision::kBFloat16, Precision::kFloat16, Precision::kFloat32}) {
    if (PrecisionName(known) == name) return known;
  }
  std::cerr << "unknown precision " << name << "\n";
  std::exit(2);
}

std::vector<at::Tensor> MakeBatches(const DataSet& data_set, const MeasureOptions& options,
                                    c10::Device device) {
  const InputInfo& info = data_set.inputs()[0];
  const InputBinding& binding = options.inputs[0];
  const auto constant = [](const std::vector<float>& values) {
    return torch::tensor(values).view({1, -1, 1, 1});
  };
  std::vector<at::Tensor> batches;
  for (int64_t first = 0; first < data_set.size(); first += options.batch_size) {
    std::vector<int64_t> shape = info.shape;
    shape.insert(shape.begin(), std::min<int64_t>(options.batch_size, data_set.size() - first));
    auto* bytes = const_cast<char*>(data_set.example(0, first));
    const at::Tensor images = torch::from_blob(bytes, shape, torch::kUInt8).to(torch::kFloat32);
    batches.push_back(((images / 255 - constant(binding.mean)) / constant(binding.std)).to(device));
  }
  return batches;
}

int Run(const Flags& flags) {
  SetComputeThreads(flags.threads);
  const auto weights = OrDie(OpenCheckpoint(flags.checkpoint, {}));
  DataSetSource source;
  source.kind = DataSetSource::Kind::kTensors;
  source.path = flags.data_set;
  const auto data_set = OrDie(OpenDataSet(source, flags.cache, {}));
  MeasureOptions options;
  options.batch_size = flags.batch_size;
  options.inputs = {{.data_set_input = "images",
                     .argument = "",
                     .scale_to_unit = true,
                     .mean = {0.4914f, 0.4822f, 0.4465f},
                     .std = {0.2470f, 0.2435f, 0.2616f}}};

  const Precision bare_precision = ParsePrecision(flags.precision);
  options.precision = flags.compiled.empty() ? bare_precision : Precision::kFloat32;
  options.channels_last = flags.channels_last;
  const c10::Device device = OrDie(OpenTorchDevice(flags.device));
  const auto runner =
      OrDie(Runner::Load(flags.compiled.empty() ? flags.architecture : flags.compiled, flags.device,
                         /*may_be_compiled=*/true));
  const std::shared_ptr<const StateDict> ingredients[] = {weights};
  Require(runner->SetWeights(ingredients, {}, std::nullopt));
  torch::jit::Module bare = LoadBare(flags, *weights);
  const c10::InferenceMode inference;
  const std::vector<at::Tensor> batches = MakeBatches(*data_set, options, device);
  const auto run_bare = [&] {
    const PrecisionScope precision(device, bare_precision);
    at::Tensor last;
    for (const at::Tensor& batch : batches) last = bare.forward({batch}).toTensor();
    last.flatten()[0].item();  // until the device is done
  };
  const auto evaluate = [&] { OrDie(runner->Measure(*data_set, options)); };
  run_bare();  // warm, and profiled by TorchScript's executor
  run_bare();
  evaluate();
  evaluate();
  const auto examples = static_cast<double>(data_set->size());
  for (int round = 1; round <= flags.rounds; ++round) {
    // What the machine does otherwise grows and falls slowly: each is once before and once after.
    double theirs = SecondsOf(run_bare);
    const double ours = SecondsOf(evaluate) + SecondsOf(evaluate);
    theirs += SecondsOf(run_bare);
    const double weights =
        SecondsOf([&] { Require(runner->SetWeights(ingredients, {}, std::nullopt)); });
    std::cout << Json({{"round", round},
                       {"evaluation_examples_per_second", std::round(2 * examples / ours)},
                       {"bare_examples_per_second", std::round(2 * examples / theirs)},
                       {"ratio", std::round(theirs / ours * 1000) / 1000},
                       {"weights_seconds", weights},
                       {"device", runner->device().name},
                       {"precision", flags.precision},
                       {"compiled", !flags.compiled.empty()},
                       {"channels_last", flags.channels_last},
                       {"threads", at::get_num_threads()},
                       {"batch_size", flags.batch_size}})
                     .dump()
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  stockpot::Flags flags;
  CLI::App app("Evaluation throughput against a bare LibTorch loop");
  app.add_option("architecture", flags.architecture)->required();
  app.add_option("checkpoint", flags.checkpoint)->required();
  app.add_option("data_set", flags.data_set)->required();
  app.add_option("--threads", flags.threads, "0: one per core");
  app.add_option("--batch_size", flags.batch_size)->check(CLI::PositiveNumber);
  app.add_option("--rounds", flags.rounds);
  app.add_option("--device", flags.device, "cpu or cuda");
  app.add_option("--compiled", flags.compiled,
                 "evaluate this AOTInductor package of the architecture, in its own precision");
  app.add_option("--precision", flags.precision, "FLOAT32, TF32, BFLOAT16, FLOAT16");
  app.add_flag("--channels_last", flags.channels_last,
               "evaluate images laid so; the bare loop's lie as they come");
  CLI11_PARSE(app, argc, argv);
  return stockpot::Run(flags);
}
