// How long a greedy soup's next candidate takes to be written into the model: of a soup of k - 1
// ingredients and one more, for growing k, with the running sum and made anew from all k. By hand:
//
//   candidate_weights SCRATCH_FOLDER [--tensors N] [--mib N] [--rounds N]
//
// Makes checkpoints of random numbers in SCRATCH_FOLDER (64 tensors, 256 MiB together) and keeps
// them. Prints a line of JSON for each k: seconds, medians of the rounds, and what one copy of the
// model from memory to memory takes.
#include <ATen/Parallel.h>
#include <torch/script.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_format.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/bench/bench.h"

namespace stockpot {
namespace {

using Json = nlohmann::ordered_json;
using Models = std::vector<std::shared_ptr<const StateDict>>;

constexpr size_t kMost = 32;

struct Flags {
  std::string scratch;
  int tensors = 64, mib = 256, rounds = 5;
};

std::vector<TensorInfo> Tensors(const Flags& flags) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < flags.tensors; ++i) {
    tensors.push_back({absl::StrFormat("w%03d", i),
                       DType::kFloat32,
                       {(int64_t{flags.mib} << 18) / flags.tensors}});
  }
  return tensors;
}

std::shared_ptr<const StateDict> MakeModel(const Flags& flags, unsigned seed) {
  const std::string path = absl::StrFormat("%s/m%02d.safetensors", flags.scratch, seed);
  if (!std::filesystem::exists(path)) {
    const std::vector<TensorInfo> tensors = Tensors(flags);
    std::vector<float> numbers(static_cast<size_t>(tensors[0].element_count()));
    std::minstd_rand random(seed + 1);
    for (float& number : numbers) number = static_cast<float>(random() % 2048) / 1024 - 1;
    const auto writer = OrDie(SafetensorsWriter::Create(path, tensors, {}));
    for (size_t i = 0; i < tensors.size(); ++i) {
      Require(writer->Append({reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4}));
    }
    OrDie(writer->Finish());
  }
  return OrDie(OpenCheckpoint(path, {}));
}

std::unique_ptr<Runner> MakeRunner(const Flags& flags) {
  torch::jit::Module module("Weights");
  for (const TensorInfo& tensor : Tensors(flags)) {
    module.register_parameter(tensor.name, torch::zeros(tensor.shape), /*is_buffer=*/false);
  }
  module.define("def forward(self, x): return x\n");
  const std::string path = flags.scratch + "/architecture.pt";
  module.save(path);
  return OrDie(Runner::Load(path, "cpu"));
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return std::round(values[values.size() / 2] * 1e4) / 1e4;
}

int Run(const Flags& flags) {
  std::filesystem::create_directories(flags.scratch);
  SetComputeThreads(0);
  Models models;
  for (unsigned i = 0; i < kMost + 1; ++i) models.push_back(MakeModel(flags, i));
  const auto runner = MakeRunner(flags);
  const auto write = [&](const Models& blend) {
    return SecondsOf([&] { Require(runner->SetWeights(blend, {}, std::nullopt)); });
  };
  std::vector<float> from(size_t{static_cast<unsigned>(flags.mib)} << 18, 1), to(from.size());
  for (const int64_t k : {2, 4, 8, 16, 32}) {
    Models candidate(models.begin(), models.begin() + k);
    Models next = candidate;
    next.back() = models[static_cast<size_t>(k)];
    std::vector<double> anew, running, copy;
    for (int round = 0; round <= flags.rounds; ++round) {
      std::swap(candidate[0], candidate[1]);  // another order: the sum does not go on
      std::swap(next[0], next[1]);
      anew.push_back(write(candidate));
      running.push_back(write(next));
      copy.push_back(SecondsOf([&] { std::copy(from.begin(), from.end(), to.begin()); }));
      if (round == 0) anew.clear(), running.clear(), copy.clear();  // the files are read from disk
    }
    std::cout << Json({{"ingredients", k},
                       {"anew_seconds", Median(anew)},
                       {"running_sum_seconds", Median(running)},
                       {"copy_seconds", Median(copy)},
                       {"mib", flags.mib},
                       {"threads", at::get_num_threads()}})
                     .dump()
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  stockpot::Flags flags;
  CLI::App app("How long a candidate's weights take to be written");
  app.add_option("scratch_folder", flags.scratch)->required();
  app.add_option("--tensors", flags.tensors)->check(CLI::PositiveNumber);
  app.add_option("--mib", flags.mib, "Of one model")->check(CLI::PositiveNumber);
  app.add_option("--rounds", flags.rounds)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return stockpot::Run(flags);
}
