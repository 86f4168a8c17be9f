#include "server/worker/checkpoint/pickle_rebuild.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

bool IsKind(const PickleHeap& heap, PickleRef ref, PickleKind kind) {
  return heap[ref].kind == kind;
}

bool IsGlobal(const PickleHeap& heap, PickleRef ref, absl::string_view module,
              absl::string_view name) {
  const PickleValue& value = heap[ref];
  return value.kind == PickleKind::kGlobal && heap[value.items[0]].text == module &&
         heap[value.items[1]].text == name;
}

// What calls look through is short: a pickle may make the same call on the same tuple again and
// again. torch::Tensor has at most 64 dimensions.
constexpr size_t kMaxItemsLookedAt = 64;

bool IsTupleOfInts(const PickleHeap& heap, PickleRef ref) {
  const PickleValue& value = heap[ref];
  return value.kind == PickleKind::kTuple && value.items.size() <= kMaxItemsLookedAt &&
         std::all_of(value.items.begin(), value.items.end(),
                     [&](PickleRef item) { return IsKind(heap, item, PickleKind::kInt); });
}

// Whether torch's metadata sets a bit such as "conj": the stored numbers are not the tensor's.
bool HasSetBit(const PickleHeap& heap, PickleRef metadata) {
  return std::any_of(heap[metadata].items.begin(), heap[metadata].items.end(), [&](PickleRef item) {
    return IsKind(heap, item, PickleKind::kBool) && heap[item].number != 0;
  });
}

// _rebuild_tensor   (storage, offset, size, stride)
// _rebuild_tensor_v2(… requires_grad, backward_hooks[, metadata])
// _rebuild_tensor_v3(… requires_grad, backward_hooks, dtype[, metadata])
absl::StatusOr<PickleValue> RebuildTensor(const PickleHeap& heap, PickleRef callable,
                                          absl::string_view name,
                                          const std::vector<PickleRef>& arguments) {
  const size_t required = name == "_rebuild_tensor" ? 4 : name == "_rebuild_tensor_v2" ? 6 : 7;
  const size_t optional = name == "_rebuild_tensor" ? 0 : 1;
  const absl::Status wrong = InvalidCheckpoint(absl::StrCat(name, " has arguments of wrong types"));
  if (arguments.size() < required || arguments.size() > required + optional) return wrong;
  const PickleRef size = arguments[2], stride = arguments[3];
  if (!IsKind(heap, arguments[0], PickleKind::kStorage) ||
      !IsKind(heap, arguments[1], PickleKind::kInt) || !IsTupleOfInts(heap, size) ||
      !IsTupleOfInts(heap, stride) || heap[size].items.size() != heap[stride].items.size()) {
    return wrong;
  }
  if (required > 4 && (!IsKind(heap, arguments[4], PickleKind::kBool) ||
                       !(IsKind(heap, arguments[5], PickleKind::kDict) ||
                         IsKind(heap, arguments[5], PickleKind::kNone)))) {
    return wrong;
  }
  if (required > 6 && !IsKind(heap, arguments[6], PickleKind::kGlobal)) return wrong;
  if (arguments.size() > required) {
    const PickleRef metadata = arguments[required];
    if (IsKind(heap, metadata, PickleKind::kDict)) {
      if (heap[metadata].items.size() > kMaxItemsLookedAt) return wrong;
      if (HasSetBit(heap, metadata))
        return PickleValue{PickleKind::kUnreadTensor, 0, {}, {callable}};
    } else if (!IsKind(heap, metadata, PickleKind::kNone)) {
      return wrong;
    }
  }
  PickleValue tensor{PickleKind::kTensor, 0, {}, {arguments.begin(), arguments.begin() + 4}};
  if (required > 6) tensor.items.push_back(arguments[6]);
  return tensor;
}

// Parameters are the tensor they hold: _rebuild_parameter(data, requires_grad, hooks[, state]).
absl::StatusOr<PickleValue> RebuildParameter(const PickleHeap& heap,
                                             const std::vector<PickleRef>& arguments) {
  if (arguments.size() < 3 || arguments.size() > 4 ||
      !(IsKind(heap, arguments[0], PickleKind::kTensor) ||
        IsKind(heap, arguments[0], PickleKind::kUnreadTensor))) {
    return InvalidCheckpoint("_rebuild_parameter has arguments of wrong types");
  }
  return heap[arguments[0]];
}

bool IsTensorRebuilder(absl::string_view name) {
  return name == "_rebuild_tensor" || name == "_rebuild_tensor_v2" || name == "_rebuild_tensor_v3";
}

absl::StatusOr<PickleValue> RebuildTorchUtils(const PickleHeap& heap, PickleRef callable,
                                              const std::vector<PickleRef>& arguments) {
  const absl::string_view name = heap[heap[callable].items[1]].text;
  if (IsTensorRebuilder(name)) return RebuildTensor(heap, callable, name, arguments);
  if (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state") {
    return RebuildParameter(heap, arguments);
  }
  // Sparse, quantized, nested, meta, … : an error only where a state dict holds one.
  const bool tensor = absl::StartsWith(name, "_rebuild_");
  return PickleValue{tensor ? PickleKind::kUnreadTensor : PickleKind::kObject, 0, {}, {callable}};
}

// _rebuild_from_type_v2(function, type, arguments, state): a tensor that carries attributes.
absl::StatusOr<PickleValue> RebuildFromType(const PickleHeap& heap, PickleRef callable,
                                            const std::vector<PickleRef>& arguments) {
  const bool plain = arguments.size() == 4 && heap[arguments[0]].kind == PickleKind::kGlobal &&
                     heap[heap[arguments[0]].items[0]].text == "torch._utils" &&
                     (IsGlobal(heap, arguments[1], "torch", "Tensor") ||
                      IsGlobal(heap, arguments[1], "torch._tensor", "Tensor") ||
                      IsGlobal(heap, arguments[1], "torch.nn.parameter", "Parameter")) &&
                     IsKind(heap, arguments[2], PickleKind::kTuple);
  if (!plain) return PickleValue{PickleKind::kUnreadTensor, 0, {}, {callable}};
  return RebuildTorchUtils(heap, arguments[0], heap[arguments[2]].items);
}

}  // namespace

absl::StatusOr<PickleValue> RebuildCall(const PickleHeap& heap, PickleRef callable,
                                        PickleRef arguments) {
  if (!IsKind(heap, arguments, PickleKind::kTuple)) {
    return InvalidCheckpoint("a call has arguments that are no tuple");
  }
  const std::vector<PickleRef>& items = heap[arguments].items;
  if (IsKind(heap, callable, PickleKind::kObject)) {
    std::vector<PickleRef> type = heap[callable].items;
    if (type.size() > 1) type.resize(1);
    return PickleValue{PickleKind::kObject, 0, {}, std::move(type)};
  }
  if (!IsKind(heap, callable, PickleKind::kGlobal)) {
    return InvalidCheckpoint(
        absl::StrCat("calls ", DescribePickleValue(heap, callable), ", which is no function"));
  }
  if (IsGlobal(heap, callable, "collections", "OrderedDict")) {
    if (!items.empty()) return InvalidCheckpoint("makes an OrderedDict from arguments");
    return PickleValue{PickleKind::kDict, 0, {}, {}};
  }
  if (heap[heap[callable].items[0]].text == "torch._utils") {
    return RebuildTorchUtils(heap, callable, items);
  }
  if (IsGlobal(heap, callable, "torch._tensor", "_rebuild_from_type_v2")) {
    return RebuildFromType(heap, callable, items);
  }
  return PickleValue{PickleKind::kObject, 0, {}, {callable}};
}

std::optional<PickleRef> PassedThrough(const PickleHeap& heap, PickleRef callable,
                                       PickleRef arguments) {
  const std::vector<PickleRef>& items = heap[arguments].items;
  if (!IsGlobal(heap, callable, "torch.jit._pickle", "restore_type_tag") ||
      !IsKind(heap, arguments, PickleKind::kTuple) || items.size() != 2) {
    return std::nullopt;
  }
  return items[0];
}

absl::StatusOr<PickleValue> RebuildStorage(const PickleHeap& heap, PickleRef persistent_id) {
  const std::vector<PickleRef>& id = heap[persistent_id].items;
  if (!IsKind(heap, persistent_id, PickleKind::kTuple) || id.size() != 5 ||
      !IsKind(heap, id[0], PickleKind::kText) || heap[id[0]].text != "storage" ||
      !IsKind(heap, id[1], PickleKind::kGlobal) || !IsKind(heap, id[2], PickleKind::kText) ||
      !IsKind(heap, id[3], PickleKind::kText) || !IsKind(heap, id[4], PickleKind::kInt)) {
    return InvalidCheckpoint("a persistent id is not that of a storage");
  }
  return PickleValue{PickleKind::kStorage, heap[id[4]].number, {}, {id[1], id[2]}};
}

}  // namespace stockpot
