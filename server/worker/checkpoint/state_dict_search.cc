#include "server/worker/checkpoint/state_dict_search.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

// In order of preference; a file may nest them ({"model": {"state_dict": …}}).
constexpr absl::string_view kStateDictKeys[] = {
    "state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights"};
// Averages of the weights that training scripts keep beside them.
constexpr absl::string_view kAveragedKeys[] = {"state_dict_ema", "model_ema", "ema",
                                               "ema_state_dict"};
constexpr absl::string_view kLightningKey = "pytorch-lightning_version";
constexpr int kMaxSearchDepth = 2;
constexpr size_t kMaxIgnoredNotes = 100;
constexpr uint64_t kAttributesPerTensor = 16;
constexpr size_t kMaxPrefix = 1024;

absl::Status SortByName(std::vector<NamedTensor>* tensors) {
  std::sort(tensors->begin(), tensors->end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  const auto twin =
      std::adjacent_find(tensors->begin(), tensors->end(),
                         [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twin == tensors->end()) return absl::OkStatus();
  return AtTensor(twin->name, InvalidCheckpoint("is named twice"));
}

absl::Status UnreadTensor(const PickleHeap& heap, absl::string_view name,
                          const PickleValue& tensor) {
  return AtTensor(name, UnsupportedCheckpoint(absl::StrCat(
                            "only dense, plain tensors are read, this one is made by ",
                            GlobalName(heap, tensor.items[0]), "; save it as a dense tensor")));
}

constexpr uint64_t kMaxNameBytes = 128 << 20;
constexpr size_t kMaxPacked = 64;  // as above: the same list may lie under every key

class Search {
 public:
  Search(const PickleHeap& heap, absl::string_view key) : heap_(heap), key_(key) {}

  absl::StatusOr<FoundStateDict> Run(PickleRef root) {
    if (heap_[root].kind != PickleKind::kDict) return NoStateDict(root);
    if (Find(root, kLightningKey) != nullptr) {
      result_.is_lightning = true;
      result_.notes.emplace_back("a PyTorch Lightning checkpoint");
    }
    if (!key_.empty()) {
      ASSIGN_OR_RETURN(root, UnderKey(root));
    } else {
      NoteAverages(root);
    }
    const PickleRef found = Descend(root, kMaxSearchDepth);
    // An object where the weights should be is an error, whatever tensors lie beside it.
    const bool misplaced = found == root && FindObject(root) != nullptr;
    if (!HasTensors(found) || misplaced) return NoStateDict(root);
    RETURN_IF_ERROR(TakeTensors(found));
    RETURN_IF_ERROR(SortByName(&result_.tensors));
    if (ignored_count_ > kMaxIgnoredNotes) {
      result_.notes.push_back(absl::StrCat("ignored: ", ignored_count_ - kMaxIgnoredNotes,
                                           " more that are no tensors"));
    }
    return std::move(result_);
  }

 private:
  absl::StatusOr<PickleRef> UnderKey(PickleRef root) {
    const PickleRef* value = Find(root, key_);
    if (value == nullptr || heap_[*value].kind != PickleKind::kDict) {
      return InvalidCheckpoint(absl::StrCat(
          "has no state dict under ", Quote(key_), ", the state_dict_key that the job names; ",
          value == nullptr ? absl::StrCat("its keys are: ", KeysOf(root))
                           : absl::StrCat("there is ", DescribePickleValue(heap_, *value))));
    }
    result_.notes.push_back(absl::StrCat("taken from key ", Quote(key_), ", as asked for"));
    return *value;
  }
  void NoteAverages(PickleRef root) {
    for (const absl::string_view key : kAveragedKeys) {
      const PickleRef* value = Find(root, key);
      if (value == nullptr || heap_[*value].kind != PickleKind::kDict) continue;
      result_.notes.push_back(absl::StrCat("has averaged weights under ", Quote(key),
                                           " too, not taken: state_dict_key names them"));
    }
  }

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

  // Packed parameters of torch.ao lie beside tensors as tuples: without them the model is not
  // whole.
  absl::Status CheckHoldsNoTensor(PickleRef key, const PickleValue& value) const {
    if (value.kind != PickleKind::kTuple && value.kind != PickleKind::kList) {
      return absl::OkStatus();
    }
    if (value.items.size() > kMaxPacked) return absl::OkStatus();
    for (const PickleRef item : value.items) {
      const PickleKind kind = heap_[item].kind;
      if (kind != PickleKind::kTensor && kind != PickleKind::kUnreadTensor) continue;
      return UnsupportedCheckpoint(
          absl::StrCat("key ", KeyText(key), " holds tensors in a ",
                       value.kind == PickleKind::kTuple ? "tuple" : "list",
                       ", as packed, quantised weights are; give the weights they were made from"));
    }
    return absl::OkStatus();
  }

  absl::Status TakeTensors(PickleRef dict) {
    const std::vector<PickleRef>& items = heap_[dict].items;
    uint64_t bytes = 0;  // of the names: a pickle may repeat a long one at 4 bytes each
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& key = heap_[items[i]];
      bytes += sizeof(NamedTensor) + key.text.size();
      if (bytes > kMaxNameBytes) return InvalidCheckpoint("has too many tensors or too long names");
      const PickleValue& value = heap_[items[i + 1]];
      const bool tensor =
          value.kind == PickleKind::kTensor || value.kind == PickleKind::kUnreadTensor;
      if (!tensor) {
        RETURN_IF_ERROR(CheckHoldsNoTensor(items[i], value));
        Ignore(dict, i);
        continue;
      }
      if (key.kind != PickleKind::kText) {
        return InvalidCheckpoint(
            absl::StrCat("a tensor has ", DescribePickleValue(heap_, items[i]), " for a name"));
      }
      RETURN_IF_ERROR(CheckTensorName(key.text));
      if (value.kind == PickleKind::kUnreadTensor) {
        return UnreadTensor(heap_, key.text, value);
      }
      result_.tensors.push_back({std::string(key.text), items[i + 1]});
    }
    return absl::OkStatus();
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
    return InvalidCheckpoint(absl::StrCat("holds no tensors at the top, nor under ",
                                          absl::StrJoin(kStateDictKeys, ", "),
                                          "; its keys are: ", KeysOf(root)));
  }

  std::string KeysOf(PickleRef dict) const {
    constexpr size_t kMaxKeysSaid = 8;
    std::vector<std::string> keys;
    for (size_t i = 0; i + 1 < heap_[dict].items.size() && keys.size() < kMaxKeysSaid; i += 2) {
      keys.push_back(KeyText(heap_[dict].items[i]));
    }
    return absl::StrJoin(keys, ", ");
  }

  const PickleHeap& heap_;
  const absl::string_view key_;
  FoundStateDict result_;
  size_t ignored_count_ = 0;
};

// Goes through a TorchScript module's attributes, as state_dict() does.
class ModuleSearch {
 public:
  ModuleSearch(const PickleHeap& heap, const TorchScriptClasses& classes,
               const CheckpointLimits& limits)
      : heap_(heap), classes_(classes), limits_(limits) {}

  absl::StatusOr<FoundStateDict> Run(PickleRef root) {
    if (FindClass(root) == nullptr) {
      return InvalidCheckpoint("a TorchScript archive whose data.pkl holds no module of its code");
    }
    RETURN_IF_ERROR(Take(root, "", limits_.max_nesting));
    RETURN_IF_ERROR(SortByName(&result_.tensors));
    result_.notes.emplace_back(
        "parameters and buffers of a TorchScript module; its code was not run");
    return std::move(result_);
  }

 private:
  // The names that the class of a module has; null of what is no module.
  const std::set<std::string>* FindClass(PickleRef ref) const {
    const PickleValue& object = heap_[ref];
    if (object.kind != PickleKind::kObject || object.items.size() < 2) return nullptr;
    const std::vector<PickleRef>& type = heap_[object.items[0]].items;
    if (heap_[type[0]].text.size() + heap_[type[1]].text.size() > kMaxPrefix) return nullptr;
    const auto found = classes_.find(absl::StrCat(heap_[type[0]].text, ".", heap_[type[1]].text));
    return found == classes_.end() ? nullptr : &found->second;
  }

  absl::Status Take(PickleRef module, const std::string& prefix, int depth) {
    if (depth == 0) {
      return InvalidCheckpoint(
          absl::StrCat("modules are nested over ", limits_.max_nesting, " deep"));
    }
    const std::set<std::string>& names = *FindClass(module);
    const std::vector<PickleRef>& attributes = heap_[heap_[module].items[1]].items;
    // Modules may be shared, so that a small pickle could hold more of them than anybody can visit.
    attributes_seen_ += attributes.size();
    if (attributes_seen_ > kAttributesPerTensor * limits_.max_tensors ||
        prefix.size() > kMaxPrefix) {
      return InvalidCheckpoint("a TorchScript archive with too many modules, or too long names");
    }
    for (size_t i = 0; i + 1 < attributes.size(); i += 2) {
      const PickleValue& key = heap_[attributes[i]];
      if (key.kind != PickleKind::kText || key.text.size() > kMaxPrefix) continue;
      RETURN_IF_ERROR(TakeAttribute(absl::StrCat(prefix, key.text), attributes[i + 1],
                                    names.count(std::string(key.text)) > 0, depth));
    }
    return absl::OkStatus();
  }

  absl::Status TakeAttribute(const std::string& name, PickleRef value, bool in_state, int depth) {
    if (FindClass(value) != nullptr) return Take(value, name + ".", depth - 1);
    const PickleKind kind = heap_[value].kind;
    if (!in_state || (kind != PickleKind::kTensor && kind != PickleKind::kUnreadTensor)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(CheckTensorName(name));
    if (kind == PickleKind::kUnreadTensor) return UnreadTensor(heap_, name, heap_[value]);
    name_bytes_ += sizeof(NamedTensor) + name.size();
    if (name_bytes_ > kMaxNameBytes) return TooMuch();
    if (result_.tensors.size() >= limits_.max_tensors) {
      return InvalidCheckpoint(absl::StrCat("has more than ", limits_.max_tensors, " tensors"));
    }
    result_.tensors.push_back({name, value});
    return absl::OkStatus();
  }

  static absl::Status TooMuch() {
    return InvalidCheckpoint("a TorchScript archive with too many modules, or too long names");
  }

  const PickleHeap& heap_;
  const TorchScriptClasses& classes_;
  const CheckpointLimits limits_;
  uint64_t attributes_seen_ = 0;
  uint64_t name_bytes_ = 0;
  FoundStateDict result_;
};

}  // namespace

absl::StatusOr<FoundStateDict> FindStateDict(const Pickle& pickle, absl::string_view key) {
  return Search(pickle.heap, key).Run(pickle.root);
}

absl::StatusOr<FoundStateDict> FindModuleState(const Pickle& pickle,
                                               const TorchScriptClasses& classes,
                                               const CheckpointLimits& limits) {
  return ModuleSearch(pickle.heap, classes, limits).Run(pickle.root);
}

}  // namespace stockpot
