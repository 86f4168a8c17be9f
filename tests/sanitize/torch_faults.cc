// Loops on LibTorch's threads, one after the other, without a fault ("ordered") or with a race in a
// loop of ours ("race") or in what a loop of LibTorch's calls ("race_in_operator"). CMakeLists.txt
// says what must be reported.
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

constexpr int kThreads = 4;
constexpr int64_t kChunk = 1000;  // of one thread

struct Numbers {
  at::Tensor all = at::empty({kThreads * kChunk}, at::kLong);
  int64_t last = 0;  // written by every thread, in a race
};

// As an operator of LibTorch's does: what runs the loop is not instrumented.
void FillInOperator(int64_t value, bool race, Numbers* numbers) {
  at::TensorIterator loop = at::TensorIteratorConfig()
                                .check_all_same_dtype(false)
                                .resize_outputs(false)
                                .declare_static_shape(numbers->all.sizes())
                                .add_output(numbers->all)
                                .build();
  const auto fill = [&](char** data, const int64_t* strides, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      *reinterpret_cast<int64_t*>(data[0] + i * strides[0]) = value;
    }
    if (race) numbers->last = value;
  };
  loop.for_each(fill, kChunk);
}

void AddOne(bool race, Numbers* numbers) {
  auto* const all = numbers->all.mutable_data_ptr<int64_t>();
  at::parallel_for(0, kThreads * kChunk, kChunk, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) ++all[i];
    if (race) numbers->last = end;
  });
}

// Each loop reads what other threads wrote in the one before.
int CountInLoops(const std::string& fault) {
  Numbers numbers;
  int64_t wrong = 0;
  for (int64_t round = 0; round < 100; ++round) {
    FillInOperator(round, fault == "race_in_operator", &numbers);
    AddOne(fault == "race", &numbers);
    const auto* const all = numbers.all.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < kThreads * kChunk; ++i) wrong += all[i] != round + 1;
  }
  return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string fault = argc == 2 ? argv[1] : "";
  at::set_num_threads(kThreads);
  if (fault == "ordered" || fault == "race" || fault == "race_in_operator") {
    return CountInLoops(fault);
  }
  std::cerr << "torch_faults: no fault '" << fault << "'\n";
  return EXIT_FAILURE;
}
