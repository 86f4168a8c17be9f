// What every reader of checkpoints promises of what it accepts.
#ifndef STOCKPOT_TESTS_FUZZ_READ_ALL_H_
#define STOCKPOT_TESTS_FUZZ_READ_ALL_H_

#include <string>
#include <vector>

#include "server/worker/checkpoint/state_dict.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {

// Reads every byte of every tensor both ways. A sum that is wrong is an error, not a promise.
inline void ReadAll(const StateDict& state_dict) {
  const std::vector<TensorInfo>& tensors = state_dict.tensors();
  std::vector<char> scratch;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Require(i == 0 || tensors[i - 1].name < tensors[i].name, "names are sorted and come once");
    const auto elements = state_dict.Read(i, &scratch);
    if (!elements.ok()) continue;
    Require(elements->size() == tensors[i].byte_count(), "a tensor has the bytes of its shape");
    std::vector<char> copy(elements->size());
    Require(state_dict.Copy(i, 0, absl::MakeSpan(copy)).ok(), "what is read can be copied");
    Require(copy == std::vector<char>(elements->begin(), elements->end()), "copies are equal");
  }
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_FUZZ_READ_ALL_H_
