// What the tests of learning learn from: linear.pt's weights and examples, made of sines.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_LINEAR_MODELS_H_
#define STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_LINEAR_MODELS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/learning.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {

using Ingredients = std::vector<std::shared_ptr<const StateDict>>;

inline constexpr size_t kIngredients = 3, kInputs = 4, kClasses = 3, kExamples = 10;

inline std::unique_ptr<Runner> Load(const std::string& model, const std::string& device = "cpu") {
  auto runner = Runner::Load("tests/support/models/" + model, device);
  EXPECT_TRUE(runner.ok()) << runner.status();
  return *std::move(runner);
}

inline TensorValue Tensor(const std::string& name, std::vector<int64_t> shape,
                          const std::vector<float>& elements) {
  TensorValue tensor;
  tensor.info.name = name;
  tensor.info.shape = std::move(shape);
  const auto* bytes = reinterpret_cast<const char*>(elements.data());
  tensor.bytes.assign(bytes, bytes + elements.size() * sizeof(float));
  return tensor;
}

// The numbers of ingredient i: some of each sign, none alike.
inline float Weight(size_t ingredient, size_t row, size_t column) {
  return static_cast<float>(std::sin(static_cast<double>(1 + 7 * ingredient + 3 * row + column)));
}
inline float Bias(size_t ingredient, size_t row) { return 0.25f * Weight(ingredient, row, 9); }

inline std::shared_ptr<const StateDict> Linear(size_t ingredient) {
  std::vector<float> weight, bias;
  for (size_t c = 0; c < kClasses; ++c) {
    bias.push_back(Bias(ingredient, c));
    for (size_t j = 0; j < kInputs; ++j) weight.push_back(Weight(ingredient, c, j));
  }
  return MakeStateDict({Tensor("bias", {3}, bias), Tensor("weight", {3, 4}, weight)});
}

inline Ingredients LinearModels() { return {Linear(0), Linear(1), Linear(2)}; }

inline float Input(size_t example, size_t j) {
  return static_cast<float>(std::cos(static_cast<double>(2 * example + 5 * j)));
}
inline int64_t Label(size_t example) { return static_cast<int64_t>(example * 2 % kClasses); }

// Label 0 becomes `first`, 1 the next …
inline MemoryDataSet Data(int64_t first = 0) {
  std::vector<float> x;
  std::vector<int64_t> labels;
  for (size_t i = 0; i < kExamples; ++i) {
    for (size_t j = 0; j < kInputs; ++j) x.push_back(Input(i, j));
    labels.push_back((Label(i) + first) % static_cast<int64_t>(kClasses));
  }
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, {kExamples, kInputs}, x)}, labels);
}

inline LearnedEpoch Learn(Runner* runner, const Ingredients& ingredients, const DataSet& data,
                          const LearningOptions& options) {
  auto learned = runner->LearnEpoch(ingredients, data, options);
  EXPECT_TRUE(learned.ok()) << learned.status();
  return learned.ok() ? *std::move(learned) : LearnedEpoch();
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_LINEAR_MODELS_H_
