#include "server/worker/checkpoint/torch_save_pickle.h"

#include <algorithm>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/torch_storage_types.h"

namespace stockpot {
namespace {

// Opcodes of protocol 2, by the names of Python's pickle module.
constexpr absl::string_view kProtocol2("\x80\x02", 2);
constexpr char kMark = '(', kTuple = 't', kEmptyTuple = ')', kReduce = 'R', kSetItems = 'u';
constexpr char kGlobal = 'c', kBinUnicode = 'X', kBinPersistentId = 'Q', kNewFalse = '\x89';
constexpr char kBinInt = 'J', kLong1 = '\x8a', kBinPut = 'q', kBinGet = 'h', kStop = '.';

class Emitter {
 public:
  std::string Emit(const std::vector<TensorInfo>& tensors) {
    absl::StrAppend(&pickle_, kProtocol2);
    EmptyOrderedDict();
    Add(kMark);
    for (size_t i = 0; i < tensors.size(); ++i) {
      Text(tensors[i].name);
      Tensor(tensors[i], i);
    }
    Add(kSetItems);
    Add(kStop);
    return std::move(pickle_);
  }

 private:
  void Add(char opcode) { pickle_.push_back(opcode); }

  template <typename T>
  void AddNumber(T number) {  // supported machines are little-endian
    pickle_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }

  void Text(absl::string_view text) {
    Add(kBinUnicode);
    AddNumber(static_cast<uint32_t>(text.size()));
    absl::StrAppend(&pickle_, text);
  }

  void Int(int64_t number) {
    if (number <= std::numeric_limits<int32_t>::max()) {
      Add(kBinInt);
      AddNumber(static_cast<int32_t>(number));
      return;
    }
    Add(kLong1);
    Add(static_cast<char>(sizeof(number)));
    AddNumber(number);
  }

  // Written once, then taken from the memo: there are a few of them, but one of each per tensor.
  void Global(absl::string_view module, absl::string_view name) {
    const std::string key = absl::StrCat(module, "\n", name, "\n");
    const auto [known, is_new] = memo_.try_emplace(key, static_cast<char>(memo_.size()));
    if (is_new) {
      Add(kGlobal);
      absl::StrAppend(&pickle_, key);
    }
    Add(is_new ? kBinPut : kBinGet);
    Add(known->second);
  }

  void EmptyOrderedDict() {
    Global("collections", "OrderedDict");
    Add(kEmptyTuple);
    Add(kReduce);
  }

  void Ints(const std::vector<int64_t>& numbers) {
    Add(kMark);
    for (const int64_t number : numbers) Int(number);
    Add(kTuple);
  }

  // Of torch's contiguous tensors: a dimension without elements counts as one with one.
  static std::vector<int64_t> Strides(const std::vector<int64_t>& shape) {
    std::vector<int64_t> strides(shape.size());
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= std::max<int64_t>(shape[i], 1);
    }
    return strides;
  }

  void Storage(const TensorInfo& info, size_t entry, absl::string_view type) {
    Add(kMark);
    Text("storage");
    Global(type.empty() ? "torch.storage" : "torch", type.empty() ? "UntypedStorage" : type);
    Text(absl::StrCat(entry));
    Text("cpu");
    Int(type.empty() ? static_cast<int64_t>(info.byte_count()) : info.element_count());
    Add(kTuple);
    Add(kBinPersistentId);
  }

  void Tensor(const TensorInfo& info, size_t entry) {
    // A dtype without a storage type of its own is named beside a storage of bytes.
    const absl::string_view type = TorchStorageOfDType(info.dtype);
    Global("torch._utils", type.empty() ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    Add(kMark);
    Storage(info, entry, type);
    Int(0);  // offset
    Ints(info.shape);
    Ints(Strides(info.shape));
    Add(kNewFalse);      // requires_grad
    EmptyOrderedDict();  // backward hooks
    if (type.empty()) Global("torch", TorchNameOfDType(info.dtype));
    Add(kTuple);
    Add(kReduce);
  }

  std::string pickle_;
  std::map<std::string, char> memo_;  // globals by what names them; far fewer than 128
};

}  // namespace

std::string StateDictPickle(const std::vector<TensorInfo>& tensors) {
  return Emitter().Emit(tensors);
}

}  // namespace stockpot
