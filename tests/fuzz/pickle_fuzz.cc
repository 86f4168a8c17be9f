// The pickle of a torch.save file, and the search for the state dict in it.
#include "server/worker/checkpoint/pickle_reader.h"
#include "server/worker/checkpoint/state_dict_search.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto pickle = stockpot::ReadPickle(stockpot::AsText(data, size), {});
  if (!pickle.ok()) return 0;
  for (const stockpot::PickleValue& value : pickle->heap) {
    for (const stockpot::PickleRef item : value.items) {
      stockpot::Require(item < pickle->heap.size(), "a value refers to values");
    }
  }
  stockpot::DescribePickleValue(pickle->heap, pickle->root);
  (void)stockpot::FindStateDict(*pickle, "model");
  const auto found = stockpot::FindStateDict(*pickle);
  if (!found.ok()) return 0;
  for (const stockpot::NamedTensor& tensor : found->tensors) {
    stockpot::Require(pickle->heap[tensor.tensor].kind == stockpot::PickleKind::kTensor,
                      "what is found is a tensor");
  }
  return 0;
}
