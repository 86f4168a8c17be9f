#include "tests/support/tiny_sweep/tiny_sweep.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "server/worker/checkpoint/safetensors_writer.h"

namespace stockpot {
namespace {

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "tiny_sweep: " << status << std::endl;
  std::abort();
}

}  // namespace

void WriteSafetensors(const std::string& path, const std::vector<MadeTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const MadeTensor& tensor : tensors) infos.push_back(tensor.info);
  auto writer = SafetensorsWriter::Create(path, infos, {});
  Check(writer.status());
  for (const MadeTensor& tensor : tensors) Check((*writer)->Append(tensor.bytes));
  Check((*writer)->Finish().status());
}

TinySweep::TinySweep(int repeats, int ingredients) : ingredients_(ingredients) {
  // Each checkpoint blurs the classes more than the one before.
  for (int i = 0; i < ingredients_; ++i) {
    std::vector<float> weight(12, 0.1f * static_cast<float>(i));
    for (int c = 0; c < 3; ++c) weight[static_cast<size_t>(c * 4 + c)] = 1.0f;
    WriteSafetensors(folder_ / ("good_" + std::to_string(i) + ".safetensors"),
                     Checkpoint(weight, {3, 4}));
  }
  const int count = kExamples * repeats;
  std::vector<float> x(static_cast<size_t>(count) * 4, 0.0f);
  std::vector<int64_t> labels;
  for (int i = 0; i < count; ++i) {
    x[static_cast<size_t>(i * 4 + i % 3)] = 1.0f;
    labels.push_back(i % 3);
  }
  WriteSafetensors(folder_ / "data.safetensors",
                   {MakeTensor("labels", DType::kInt64, {count}, labels),
                    MakeTensor("x", DType::kFloat32, {count, 4}, x)});
  std::filesystem::copy("tests/support/models", folder_ / "models");
}

v1::JobSpec TinySweep::Spec(const std::string& model) const {
  v1::JobSpec spec;
  spec.mutable_model()->set_architecture_uri(folder_ / ("models/" + model));
  for (int i = 0; i < ingredients_; ++i) {
    spec.add_ingredients()->set_uri(folder_ / ("good_" + std::to_string(i) + ".safetensors"));
  }
  spec.mutable_evaluation()->mutable_held_out()->set_uri(folder_ / "data.safetensors");
  return spec;
}

std::vector<MadeTensor> TinySweep::Checkpoint(const std::vector<float>& weight,
                                              std::vector<int64_t> shape) {
  return {MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>(3, 0.0f)),
          MakeTensor("weight", DType::kFloat32, std::move(shape), weight)};
}

}  // namespace stockpot
