#include "server/worker/checkpoint/pickle_value.h"

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {

std::string GlobalName(const PickleHeap& heap, PickleRef global) {
  const std::vector<PickleRef>& parts = heap[global].items;
  std::string quoted = Quote(absl::StrCat(heap[parts[0]].text, ".", heap[parts[1]].text));
  return quoted.substr(1, quoted.size() - 2);
}

std::string DescribePickleValue(const PickleHeap& heap, PickleRef ref) {
  const PickleValue& value = heap[ref];
  switch (value.kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return "a bool";
    case PickleKind::kInt:
      return "an int";
    case PickleKind::kFloat:
      return "a float";
    case PickleKind::kText:
      return "a str";
    case PickleKind::kBytes:
      return "bytes";
    case PickleKind::kTuple:
      return "a tuple";
    case PickleKind::kList:
      return "a list";
    case PickleKind::kDict:
      return "a dict";
    case PickleKind::kGlobal:
      return GlobalName(heap, ref);
    case PickleKind::kStorage:
      return "a storage";
    case PickleKind::kTensor:
      return "a tensor";
    case PickleKind::kUnreadTensor:
      return absl::StrCat("a tensor made by ", GlobalName(heap, value.items[0]));
    case PickleKind::kObject:
      return value.items.empty() ? "an object"
                                 : absl::StrCat("an object of ", GlobalName(heap, value.items[0]));
  }
  return "an object";
}

}  // namespace stockpot
