// quickstart-sweep DIGITS.csv FOLDER: pre-trains one classifier, fine-tunes it under different
// hyper-parameters, and leaves in FOLDER the architecture, the checkpoints and the data sets.
#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "deploy/quickstart_sweep/classifier.h"
#include "deploy/quickstart_sweep/tensor_file.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr uint64_t kInitialSeed = 7;
constexpr uint64_t kShiftSeed = 99;

constexpr Training kPreTraining = {
    .epochs = 60, .learning_rate = 0.01, .degrees = 15, .pixels = 1, .noise = 0.2, .seed = 1};

// A sweep as people run one: no combination is known to be the best beforehand.
constexpr Training kSweep[] = {
    {.learning_rate = 0.03, .seed = 11},
    {.learning_rate = 0.015, .label_smoothing = 0.1, .seed = 12},
    {.learning_rate = 0.04, .mixup = 0.3, .degrees = 15, .seed = 13},
    {.learning_rate = 0.03, .weight_decay = 1e-3, .degrees = 15, .pixels = 1, .seed = 14},
    {.learning_rate = 0.03, .label_smoothing = 0.1, .degrees = 5, .noise = 0, .seed = 15},
    {.learning_rate = 0.03, .mixup = 0.3, .pixels = 1, .seed = 16},
    {.epochs = 25, .learning_rate = 0.015, .noise = 0.2, .seed = 17},
    {.learning_rate = 0.04, .pixels = 1, .seed = 18},
    {.learning_rate = 0.03, .mixup = 0.3, .degrees = 20, .pixels = 0.3, .seed = 19},
    {.learning_rate = 0.015, .degrees = 20, .noise = 0.3, .seed = 20},
    {.learning_rate = 0.03, .label_smoothing = 0.1, .mixup = 0.3, .noise = 0, .seed = 21},
    {.epochs = 25,
     .learning_rate = 0.03,
     .label_smoothing = 0.1,
     .mixup = 0.3,
     .pixels = 1,
     .noise = 0.2,
     .seed = 22},
};

// "08-lr0.03-mixup0.3": what reports call the model.
std::string FileName(size_t index, const Training& training) {
  const auto part = [](const char* name, double value) {
    return value == 0 ? "" : absl::StrCat("-", name, value);
  };
  return absl::StrCat(absl::Dec(index, absl::kZeroPad2), part("lr", training.learning_rate),
                      part("smooth", training.label_smoothing), part("mixup", training.mixup),
                      ".safetensors");
}

absl::Status WriteExamples(const std::string& path, const Examples& examples) {
  return WriteTensors(path, {{"images", examples.images}, {"labels", examples.labels}});
}

absl::Status WriteDataSets(const std::string& folder, const Digits& digits) {
  torch::manual_seed(kShiftSeed);
  const Examples shifted = {
      Distort(digits.test.images, /*degrees=*/15, /*pixels=*/1, /*noise=*/0.15),
      digits.test.labels};
  RETURN_IF_ERROR(WriteExamples(absl::StrCat(folder, "/held_out.safetensors"), digits.held_out));
  RETURN_IF_ERROR(WriteExamples(absl::StrCat(folder, "/test.safetensors"), digits.test));
  return WriteExamples(absl::StrCat(folder, "/shifted.safetensors"), shifted);
}

absl::Status WriteSweep(const std::string& folder, const Digits& digits) {
  torch::jit::Module classifier = MakeClassifier(kInitialSeed);
  Train(digits.train, kPreTraining, &classifier);
  classifier.save(absl::StrCat(folder, "/architecture.pt"));
  NamedTensors initial;
  for (const auto& parameter : classifier.named_parameters()) {
    initial.emplace_back(parameter.name, parameter.value.detach().clone());
  }
  for (size_t i = 0; i < std::size(kSweep); ++i) {
    NamedTensors tuned;
    for (const auto& parameter : classifier.named_parameters()) {
      const torch::NoGradGuard no_grad;
      parameter.value.copy_(initial[tuned.size()].second);
      tuned.emplace_back(parameter.name, parameter.value);
    }
    Train(digits.train, kSweep[i], &classifier);
    const std::string name = FileName(i, kSweep[i]);
    std::cout << name << "  held-out " << Accuracy(digits.held_out, &classifier) << std::endl;
    RETURN_IF_ERROR(WriteTensors(absl::StrCat(folder, "/checkpoints/", name), tuned));
  }
  return absl::OkStatus();
}

absl::Status Run(const std::string& digits_file, const std::string& folder) {
  torch::set_num_threads(1);  // one order of additions, whatever the machine
  torch::jit::setGraphExecutorOptimize(
      false);  // no profiling runs that would differ from later ones
  ASSIGN_OR_RETURN(const Digits digits, ReadDigits(digits_file));
  std::filesystem::create_directories(folder + "/checkpoints");
  RETURN_IF_ERROR(WriteDataSets(folder, digits));
  return WriteSweep(folder, digits);
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: quickstart-sweep DIGITS.csv FOLDER" << std::endl;
    return 2;
  }
  try {
    const absl::Status status = stockpot::Run(argv[1], argv[2]);
    if (status.ok()) return 0;
    std::cerr << "quickstart-sweep: " << status << std::endl;
  } catch (const std::exception& error) {  // LibTorch and std::filesystem throw
    std::cerr << "quickstart-sweep: " << error.what() << std::endl;
  }
  return 1;
}
