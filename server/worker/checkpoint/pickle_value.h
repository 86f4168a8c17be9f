// What a pickle says, as inert data: numbers, texts, containers, and the few objects a checkpoint
// is made of. Anything else is a placeholder that remembers its class's name and nothing more.
//
// Ownership: texts are views into the pickle; containers refer to values by index into the heap
// they live in, so that cycles are harmless.
// Thread safety: immutable once read.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_VALUE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_VALUE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace stockpot {

using PickleRef = uint32_t;  // index into PickleHeap

enum class PickleKind : uint8_t {
  kNone,
  kBool,          // number
  kInt,           // number
  kFloat,         // its value is never needed
  kText,          // text: str
  kBytes,         // text: bytes and Python 2 str
  kTuple,         // items
  kList,          // items
  kDict,          // items: key, value, key, value, …; also OrderedDict
  kGlobal,        // items: module and name, as texts
  kStorage,       // items: type (a global) and archive key (a text); number: elements of that type
  kTensor,        // items: storage, offset, size, stride, and a dtype global where given
  kUnreadTensor,  // items: the global that rebuilds it (sparse, quantized, …)
  kObject,        // items: the global that makes it, or nothing: a placeholder; of a TorchScript
                  // module also its attributes, a kDict
};

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;
  absl::string_view text;
  std::vector<PickleRef> items;
};

using PickleHeap = std::vector<PickleValue>;

// "a dict", "an object of class argparse.Namespace", …: for messages.
std::string DescribePickleValue(const PickleHeap& heap, PickleRef ref);

// "module.name" of a kGlobal.
std::string GlobalName(const PickleHeap& heap, PickleRef global);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_VALUE_H_
