#include "server/worker/checkpoint/state_dict_search.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

// In order of preference; a file may nest them ({"model": {"state_dict": …}}).
constexpr absl::string_view kStateDictKeys[] = {
    "state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights"};
// What DistributedDataParallel and torch.compile put before every name.
constexpr absl::string_view kWrapperPrefixes[] = {"module.", "_orig_mod."};
constexpr int kMaxSearchDepth = 2;
constexpr size_t kMaxIgnoredNotes = 100;

class Search {
 public:
  explicit Search(const PickleHeap& heap) : heap_(heap) {}

  absl::StatusOr<FoundStateDict> Run(PickleRef root) {
    if (heap_[root].kind != PickleKind::kDict) return NoStateDict(root);
    const PickleRef found = Descend(root, kMaxSearchDepth);
    // An object where the weights should be is an error, whatever tensors lie beside it.
    const bool misplaced = found == root && FindObject(root) != nullptr;
    if (!HasTensors(found) || misplaced) return NoStateDict(root);
    RETURN_IF_ERROR(TakeTensors(found));
    for (bool removed = true; removed;) {
      removed = false;
      for (absl::string_view prefix : kWrapperPrefixes) removed |= RemovePrefix(prefix);
    }
    RETURN_IF_ERROR(SortTensors());
    if (ignored_count_ > kMaxIgnoredNotes) {
      result_.notes.push_back(absl::StrCat("ignored: ", ignored_count_ - kMaxIgnoredNotes,
                                           " more that are no tensors"));
    }
    return std::move(result_);
  }

 private:
  bool HasTensors(PickleRef dict) const {
    const std::vector<PickleRef>& items = heap_[dict].items;
    for (size_t i = 1; i < items.size(); i += 2) {
      const PickleKind kind = heap_[items[i]].kind;
      if (kind == PickleKind::kTensor || kind == PickleKind::kUnreadTensor) return true;
    }
    return false;
  }

  // The value of a text key; the last one given counts, as in Python.
  const PickleRef* Find(PickleRef dict, absl::string_view key) const {
    const std::vector<PickleRef>& items = heap_[dict].items;
    const PickleRef* found = nullptr;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& candidate = heap_[items[i]];
      if (candidate.kind == PickleKind::kText && candidate.text == key) found = &items[i + 1];
    }
    return found;
  }

  // An object below a known key: its key is the item before it. Null when there is none.
  const PickleRef* FindObject(PickleRef dict) const {
    for (absl::string_view key : kStateDictKeys) {
      const PickleRef* value = Find(dict, key);
      if (value != nullptr && heap_[*value].kind == PickleKind::kObject) return value;
    }
    return nullptr;
  }

  // A dict below a known key wins over tensors beside it: those are things like a best accuracy.
  PickleRef Descend(PickleRef dict, int depth) {
    if (depth == 0) return dict;
    for (absl::string_view key : kStateDictKeys) {
      const PickleRef* value = Find(dict, key);
      if (value == nullptr || heap_[*value].kind != PickleKind::kDict) continue;
      const size_t notes_before = result_.notes.size();
      result_.notes.push_back(absl::StrCat("taken from key ", Quote(key)));
      const PickleRef below = Descend(*value, depth - 1);
      if (HasTensors(below)) {
        // Notes are read from the outside in, and so is what lies beside the key taken.
        for (size_t i = 0; i + 1 < heap_[dict].items.size(); i += 2) {
          if (heap_[dict].items[i + 1] != *value) Ignore(dict, i);
        }
        return below;
      }
      result_.notes.resize(notes_before);
    }
    return dict;
  }

  std::string KeyText(PickleRef key) const {
    return heap_[key].kind == PickleKind::kText ? Quote(heap_[key].text)
                                                : DescribePickleValue(heap_, key);
  }

  void Ignore(PickleRef dict, size_t key_index) {
    if (ignored_count_++ >= kMaxIgnoredNotes) return;
    const std::vector<PickleRef>& items = heap_[dict].items;
    result_.notes.push_back(absl::StrCat("ignored: ", KeyText(items[key_index]), " (",
                                         DescribePickleValue(heap_, items[key_index + 1]), ")"));
  }

  absl::Status TakeTensors(PickleRef dict) {
    const std::vector<PickleRef>& items = heap_[dict].items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& key = heap_[items[i]];
      const PickleValue& value = heap_[items[i + 1]];
      const bool tensor =
          value.kind == PickleKind::kTensor || value.kind == PickleKind::kUnreadTensor;
      if (!tensor) {
        Ignore(dict, i);
        continue;
      }
      if (key.kind != PickleKind::kText) {
        return InvalidCheckpoint(
            absl::StrCat("a tensor has ", DescribePickleValue(heap_, items[i]), " for a name"));
      }
      RETURN_IF_ERROR(CheckTensorName(key.text));
      if (value.kind == PickleKind::kUnreadTensor) {
        return AtTensor(key.text,
                        UnsupportedCheckpoint(absl::StrCat(
                            "only dense, plain tensors are read, this one is made by ",
                            GlobalName(heap_, value.items[0]), "; save it as a dense tensor")));
      }
      result_.tensors.push_back({std::string(key.text), items[i + 1]});
    }
    return absl::OkStatus();
  }

  bool RemovePrefix(absl::string_view prefix) {
    for (const NamedTensor& tensor : result_.tensors) {
      if (tensor.name.size() == prefix.size() || !absl::StartsWith(tensor.name, prefix))
        return false;
    }
    for (NamedTensor& tensor : result_.tensors) tensor.name.erase(0, prefix.size());
    result_.notes.push_back(absl::StrCat("prefix ", Quote(prefix), " removed"));
    return true;
  }

  absl::Status SortTensors() {
    std::sort(result_.tensors.begin(), result_.tensors.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    const auto twin =
        std::adjacent_find(result_.tensors.begin(), result_.tensors.end(),
                           [](const auto& a, const auto& b) { return a.name == b.name; });
    if (twin == result_.tensors.end()) return absl::OkStatus();
    return AtTensor(twin->name, InvalidCheckpoint("is named twice"));
  }

  // Explains what is there instead.
  absl::Status NoStateDict(PickleRef root) const {
    constexpr absl::string_view kAdvice = "; save model.state_dict() instead";
    if (heap_[root].kind != PickleKind::kDict) {
      const std::string message =
          absl::StrCat("holds ", DescribePickleValue(heap_, root), ", not a state dict", kAdvice);
      return heap_[root].kind == PickleKind::kObject ? UnsupportedCheckpoint(message)
                                                     : InvalidCheckpoint(message);
    }
    if (const PickleRef* object = FindObject(root); object != nullptr) {
      return UnsupportedCheckpoint(absl::StrCat("key ", KeyText(object[-1]), " holds ",
                                                DescribePickleValue(heap_, *object),
                                                ", not a state dict", kAdvice));
    }
    constexpr size_t kMaxKeysSaid = 8;
    std::vector<std::string> keys;
    for (size_t i = 0; i + 1 < heap_[root].items.size() && keys.size() < kMaxKeysSaid; i += 2) {
      keys.push_back(KeyText(heap_[root].items[i]));
    }
    return InvalidCheckpoint(absl::StrCat("holds no tensors at the top, nor under ",
                                          absl::StrJoin(kStateDictKeys, ", "),
                                          "; its keys are: ", absl::StrJoin(keys, ", ")));
  }

  const PickleHeap& heap_;
  FoundStateDict result_;
  size_t ignored_count_ = 0;
};

}  // namespace

absl::StatusOr<FoundStateDict> FindStateDict(const Pickle& pickle) {
  return Search(pickle.heap).Run(pickle.root);
}

}  // namespace stockpot
