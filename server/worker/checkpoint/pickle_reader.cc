#include "server/worker/checkpoint/pickle_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/little_endian.h"
#include "server/worker/checkpoint/pickle_rebuild.h"

namespace stockpot {
namespace {

// A tensor takes some seven values of its own; the rest is shared.
constexpr uint64_t kValuesPerTensor = 8;
constexpr int kHighestProtocol = 5;

class Machine {
 public:
  Machine(absl::string_view bytes, const CheckpointLimits& limits)
      : bytes_(bytes), limits_(limits), max_values_(limits.max_tensors * kValuesPerTensor) {}

  absl::StatusOr<Pickle> Run() {
    // Values that need no more than one copy.
    heap_ = {{PickleKind::kNone, 0, {}, {}},
             {PickleKind::kBool, 0, {}, {}},
             {PickleKind::kBool, 1, {}, {}},
             {PickleKind::kTuple, 0, {}, {}},
             {PickleKind::kFloat, 0, {}, {}}};
    while (!stopped_) {
      const size_t offset = position_;
      absl::Status status = Step();
      if (!status.ok()) return Annotate(status, absl::StrCat("data.pkl, byte ", offset));
    }
    if (position_ != bytes_.size()) {
      return InvalidCheckpoint(absl::StrCat("data.pkl: ", bytes_.size() - position_,
                                            " bytes follow the end of the pickle"));
    }
    return Pickle{std::move(heap_), root_};
  }

 private:
  static constexpr PickleRef kNone = 0, kFalse = 1, kTrue = 2, kEmptyTuple = 3, kFloat = 4;

  // --- input

  absl::StatusOr<absl::string_view> Take(uint64_t count) {
    if (count > bytes_.size() - position_) return TruncatedCheckpoint("the pickle ends early");
    const absl::string_view taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }
  template <typename Number>
  absl::StatusOr<Number> TakeNumber() {
    ASSIGN_OR_RETURN(const absl::string_view bytes, Take(sizeof(Number)));
    return LoadLittleEndian<Number>(bytes);
  }
  template <typename Size>
  absl::StatusOr<absl::string_view> TakeSized() {
    ASSIGN_OR_RETURN(const Size size, TakeNumber<Size>());
    return Take(size);
  }
  absl::StatusOr<absl::string_view> TakeLine() {
    const size_t end = bytes_.find('\n', position_);
    if (end == absl::string_view::npos) return TruncatedCheckpoint("the pickle ends early");
    ASSIGN_OR_RETURN(const absl::string_view line, Take(end + 1 - position_));
    return line.substr(0, line.size() - 1);
  }

  // --- values and the stack

  absl::StatusOr<PickleRef> New(PickleValue value) {
    if (heap_.size() >= max_values_) {
      return InvalidCheckpoint(absl::StrCat("the pickle has more than ", max_values_, " values"));
    }
    heap_.push_back(std::move(value));
    return static_cast<PickleRef>(heap_.size() - 1);
  }
  absl::Status Push(PickleRef ref) {
    stack_.push_back(ref);
    return absl::OkStatus();
  }
  absl::Status PushNew(PickleValue value) {
    ASSIGN_OR_RETURN(const PickleRef ref, New(std::move(value)));
    return Push(ref);
  }
  absl::Status PushInt(int64_t number) { return PushNew({PickleKind::kInt, number, {}, {}}); }
  absl::Status PushText(PickleKind kind, const absl::StatusOr<absl::string_view>& text) {
    return text.ok() ? PushNew({kind, 0, *text, {}}) : text.status();
  }
  template <typename Number>
  absl::Status PushNumber() {
    ASSIGN_OR_RETURN(const Number number, TakeNumber<Number>());
    return PushInt(number);
  }

  size_t Bottom() const { return marks_.empty() ? 0 : marks_.back(); }
  absl::Status Need(size_t count) const {
    if (stack_.size() - Bottom() >= count) return absl::OkStatus();
    return InvalidCheckpoint("takes more from the stack than is there");
  }
  absl::StatusOr<PickleRef> Pop() {
    RETURN_IF_ERROR(Need(1));
    const PickleRef ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  // What was pushed since the last mark, which goes.
  absl::StatusOr<std::vector<PickleRef>> PopToMark() {
    if (marks_.empty()) return InvalidCheckpoint("there is no mark on the stack");
    const auto first = stack_.begin() + static_cast<int64_t>(marks_.back());
    std::vector<PickleRef> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  absl::StatusOr<PickleValue*> Top() {
    RETURN_IF_ERROR(Need(1));
    return &heap_[stack_.back()];
  }
  absl::Status WrongType(absl::string_view what) const {
    return InvalidCheckpoint(
        absl::StrCat(what, " ", DescribePickleValue(heap_, stack_.back()), " is not allowed"));
  }

  // --- opcodes

  absl::Status Mark() {
    if (marks_.size() >= static_cast<size_t>(limits_.max_nesting)) {
      return InvalidCheckpoint(absl::StrCat("is nested over ", limits_.max_nesting, " deep"));
    }
    marks_.push_back(stack_.size());
    return absl::OkStatus();
  }
  absl::Status PopOrMark() {
    if (stack_.size() > Bottom()) return Pop().status();
    return PopToMark().status();
  }
  absl::Status Protocol() {
    ASSIGN_OR_RETURN(const uint8_t version, TakeNumber<uint8_t>());
    if (version >= 2 && version <= kHighestProtocol) return absl::OkStatus();
    return InvalidCheckpoint(absl::StrCat("pickle protocol ", static_cast<int>(version)));
  }
  absl::Status Long(const absl::StatusOr<absl::string_view>& bytes) {
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() > sizeof(int64_t)) return PushNew({PickleKind::kObject, 0, {}, {}});
    uint64_t bits = 0;  // two's complement: the last byte's sign fills up
    const bool negative = !bytes->empty() && (static_cast<uint8_t>(bytes->back()) & 0x80) != 0;
    if (negative) bits = ~uint64_t{0};
    std::memcpy(&bits, bytes->data(), bytes->size());
    return PushInt(static_cast<int64_t>(bits));
  }
  absl::Status Tuple(std::vector<PickleRef> items) {
    if (items.empty()) return Push(kEmptyTuple);
    return PushNew({PickleKind::kTuple, 0, {}, std::move(items)});
  }
  absl::Status ShortTuple(size_t count) {
    RETURN_IF_ERROR(Need(count));
    const auto first = stack_.end() - static_cast<int64_t>(count);
    std::vector<PickleRef> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return Tuple(std::move(items));
  }
  absl::Status MarkedTuple() {
    ASSIGN_OR_RETURN(std::vector<PickleRef> items, PopToMark());
    return Tuple(std::move(items));
  }

  absl::Status Put(uint64_t index) {
    RETURN_IF_ERROR(Need(1));
    if (index >= max_values_) return InvalidCheckpoint("a memo index is over the limit");
    if (index >= memo_.size()) memo_.resize(index + 1, kNoRef);
    memo_[index] = stack_.back();
    memo_size_ = std::max(memo_size_, index + 1);
    return absl::OkStatus();
  }
  template <typename Number>
  absl::Status PutNumber() {
    ASSIGN_OR_RETURN(const Number index, TakeNumber<Number>());
    return Put(index);
  }
  template <typename Number>
  absl::Status Get() {
    ASSIGN_OR_RETURN(const Number index, TakeNumber<Number>());
    if (index >= memo_.size() || memo_[index] == kNoRef) {
      return InvalidCheckpoint(absl::StrCat("memo ", index, " was never put"));
    }
    return Push(memo_[index]);
  }

  absl::Status Global() {
    ASSIGN_OR_RETURN(const absl::string_view module, TakeLine());
    ASSIGN_OR_RETURN(const absl::string_view name, TakeLine());
    ASSIGN_OR_RETURN(const PickleRef module_ref, New({PickleKind::kText, 0, module, {}}));
    ASSIGN_OR_RETURN(const PickleRef name_ref, New({PickleKind::kText, 0, name, {}}));
    return PushNew({PickleKind::kGlobal, 0, {}, {module_ref, name_ref}});
  }
  absl::Status StackGlobal() {
    ASSIGN_OR_RETURN(const PickleRef name, Pop());
    ASSIGN_OR_RETURN(const PickleRef module, Pop());
    if (heap_[name].kind != PickleKind::kText || heap_[module].kind != PickleKind::kText) {
      return InvalidCheckpoint("a global has a name that is no str");
    }
    return PushNew({PickleKind::kGlobal, 0, {}, {module, name}});
  }
  absl::Status Reduce() {
    ASSIGN_OR_RETURN(const PickleRef arguments, Pop());
    ASSIGN_OR_RETURN(const PickleRef callable, Pop());
    if (const auto same = PassedThrough(heap_, callable, arguments)) return Push(*same);
    ASSIGN_OR_RETURN(PickleValue value, RebuildCall(heap_, callable, arguments));
    return PushNew(std::move(value));
  }
  // An instance made without a call to its class's constructor: always a placeholder.
  absl::Status NewObject(int argument_count) {
    for (int i = 0; i < argument_count; ++i) RETURN_IF_ERROR(Pop().status());
    ASSIGN_OR_RETURN(const PickleRef type, Pop());
    if (heap_[type].kind == PickleKind::kObject) return PushNew({PickleKind::kObject, 0, {}, {}});
    if (heap_[type].kind != PickleKind::kGlobal) {
      return InvalidCheckpoint("an object of a class that is none");
    }
    return PushNew({PickleKind::kObject, 0, {}, {type}});
  }
  absl::Status PersistentId() {
    ASSIGN_OR_RETURN(const PickleRef id, Pop());
    ASSIGN_OR_RETURN(PickleValue storage, RebuildStorage(heap_, id));
    return PushNew(std::move(storage));
  }
  bool IsOfTorchScript(const PickleValue& object) const {
    if (object.items.size() != 1) return false;
    const PickleValue& type = heap_[object.items[0]];
    return absl::StartsWith(heap_[type.items[0]].text, "__torch__");
  }
  // State of a placeholder is dropped, and so are attributes of a dict (a state_dict's _metadata).
  absl::Status Build() {
    ASSIGN_OR_RETURN(const PickleRef state, Pop());
    ASSIGN_OR_RETURN(PickleValue * target, Top());
    if (target->kind == PickleKind::kObject) {
      if (heap_[state].kind == PickleKind::kDict && IsOfTorchScript(*target)) {
        target->items.push_back(state);
      }
      return absl::OkStatus();
    }
    if (target->kind == PickleKind::kDict && heap_[state].kind == PickleKind::kDict) {
      return absl::OkStatus();
    }
    return WrongType("setting the state of");
  }
  absl::Status SetItems(std::vector<PickleRef> items) {
    ASSIGN_OR_RETURN(PickleValue * target, Top());
    if (items.size() % 2 != 0) return InvalidCheckpoint("a key has no value");
    if (target->kind == PickleKind::kObject) return absl::OkStatus();
    if (target->kind != PickleKind::kDict) return WrongType("setting items of");
    target->items.insert(target->items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }
  absl::Status SetItem() {
    ASSIGN_OR_RETURN(const PickleRef value, Pop());
    ASSIGN_OR_RETURN(const PickleRef key, Pop());
    return SetItems({key, value});
  }
  absl::Status Append(std::vector<PickleRef> items) {
    ASSIGN_OR_RETURN(PickleValue * target, Top());
    if (target->kind == PickleKind::kObject) return absl::OkStatus();
    if (target->kind != PickleKind::kList) return WrongType("appending to");
    target->items.insert(target->items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }
  absl::Status AppendOne() {
    ASSIGN_OR_RETURN(const PickleRef value, Pop());
    return Append({value});
  }
  template <absl::Status (Machine::*Method)(std::vector<PickleRef>)>
  absl::Status WithMarked() {
    ASSIGN_OR_RETURN(std::vector<PickleRef> items, PopToMark());
    return (this->*Method)(std::move(items));
  }
  absl::Status Stop() {
    ASSIGN_OR_RETURN(root_, Pop());
    if (!stack_.empty() || !marks_.empty()) {
      return InvalidCheckpoint("values are left over when the pickle ends");
    }
    stopped_ = true;
    return absl::OkStatus();
  }

  absl::Status Step();

  const absl::string_view bytes_;
  const CheckpointLimits limits_;
  const uint64_t max_values_;
  static constexpr PickleRef kNoRef = ~PickleRef{0};

  size_t position_ = 0;
  PickleHeap heap_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::vector<PickleRef> memo_;
  uint64_t memo_size_ = 0;  // what MEMOIZE puts next
  PickleRef root_ = 0;
  bool stopped_ = false;
};

absl::Status Machine::Step() {
  ASSIGN_OR_RETURN(const uint8_t opcode, TakeNumber<uint8_t>());
  switch (opcode) {
    case 0x80:  // PROTO
      return Protocol();
    case 0x95:  // FRAME: only a hint for readers of streams
      return TakeNumber<uint64_t>().status();
    case '.':  // STOP
      return Stop();
    case '(':  // MARK
      return Mark();
    case '0':  // POP
      return PopOrMark();
    case '1':  // POP_MARK
      return PopToMark().status();
    case '2':  // DUP
      RETURN_IF_ERROR(Need(1));
      return Push(stack_.back());

    case 'N':  // NONE
      return Push(kNone);
    case 0x88:  // NEWTRUE
      return Push(kTrue);
    case 0x89:  // NEWFALSE
      return Push(kFalse);
    case 'J':  // BININT
      return PushNumber<int32_t>();
    case 'K':  // BININT1
      return PushNumber<uint8_t>();
    case 'M':  // BININT2
      return PushNumber<uint16_t>();
    case 0x8a:  // LONG1
      return Long(TakeSized<uint8_t>());
    case 0x8b:  // LONG4
      return Long(TakeSized<uint32_t>());
    case 'G':  // BINFLOAT
      RETURN_IF_ERROR(Take(8).status());
      return Push(kFloat);
    case 0x8c:  // SHORT_BINUNICODE
      return PushText(PickleKind::kText, TakeSized<uint8_t>());
    case 'X':  // BINUNICODE
      return PushText(PickleKind::kText, TakeSized<uint32_t>());
    case 0x8d:  // BINUNICODE8
      return PushText(PickleKind::kText, TakeSized<uint64_t>());
    case 'C':  // SHORT_BINBYTES
    case 'U':  // SHORT_BINSTRING
      return PushText(PickleKind::kBytes, TakeSized<uint8_t>());
    case 'B':  // BINBYTES
    case 'T':  // BINSTRING
      return PushText(PickleKind::kBytes, TakeSized<uint32_t>());
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return PushText(PickleKind::kBytes, TakeSized<uint64_t>());

    case ')':  // EMPTY_TUPLE
      return Push(kEmptyTuple);
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      return ShortTuple(opcode - 0x84);
    case 't':   // TUPLE
    case 0x91:  // FROZENSET
      return MarkedTuple();
    case ']':   // EMPTY_LIST
    case 0x8f:  // EMPTY_SET
      return PushNew({PickleKind::kList, 0, {}, {}});
    case '}':  // EMPTY_DICT
      return PushNew({PickleKind::kDict, 0, {}, {}});
    case 'a':  // APPEND
      return AppendOne();
    case 'e':   // APPENDS
    case 0x90:  // ADDITEMS
      return WithMarked<&Machine::Append>();
    case 's':  // SETITEM
      return SetItem();
    case 'u':  // SETITEMS
      return WithMarked<&Machine::SetItems>();

    case 'q':  // BINPUT
      return PutNumber<uint8_t>();
    case 'r':  // LONG_BINPUT
      return PutNumber<uint32_t>();
    case 0x94:  // MEMOIZE
      return Put(memo_size_);
    case 'h':  // BINGET
      return Get<uint8_t>();
    case 'j':  // LONG_BINGET
      return Get<uint32_t>();

    case 'c':  // GLOBAL
      return Global();
    case 0x93:  // STACK_GLOBAL
      return StackGlobal();
    case 'R':  // REDUCE
      return Reduce();
    case 0x81:  // NEWOBJ
      return NewObject(1);
    case 0x92:  // NEWOBJ_EX
      return NewObject(2);
    case 'b':  // BUILD
      return Build();
    case 'Q':  // BINPERSID
      return PersistentId();
    default:
      return InvalidCheckpoint(
          absl::StrCat("opcode 0x", absl::Hex(opcode, absl::kZeroPad2), " is not allowed"));
  }
}

}  // namespace

absl::StatusOr<Pickle> ReadPickle(absl::string_view bytes, const CheckpointLimits& limits) {
  return Machine(bytes, limits).Run();
}

}  // namespace stockpot
