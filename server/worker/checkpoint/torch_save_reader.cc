#include "server/worker/checkpoint/torch_save_reader.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checked_shape.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/pickle_reader.h"
#include "server/worker/checkpoint/state_dict_search.h"
#include "server/worker/checkpoint/strided_view.h"
#include "server/worker/checkpoint/torch_script_classes.h"
#include "server/worker/checkpoint/torch_storage_types.h"
#include "server/worker/checkpoint/zip_archive.h"

namespace stockpot {
namespace {

// Entries beside the storages: the pickle, version, byteorder and the like.
constexpr uint64_t kMaxOtherEntries = 64;

// A storage that tensors share; its sum is checked once.
struct Storage {
  explicit Storage(const ZipEntry& zip_entry) : entry(zip_entry) {}
  const ZipEntry entry;
  std::atomic<bool> sum_is_right = false;
};

struct StoredTensor {
  Storage* storage = nullptr;
  StridedView view;
  bool contiguous = false;
};

class TorchSaveStateDict final : public StateDict {
 public:
  TorchSaveStateDict(std::shared_ptr<const MappedFile> file,
                     std::vector<std::unique_ptr<Storage>> storages,
                     std::vector<TensorInfo> tensors, std::vector<StoredTensor> stored,
                     std::string format, std::vector<std::string> notes)
      : file_(std::move(file)),
        storages_(std::move(storages)),
        tensors_(std::move(tensors)),
        stored_(std::move(stored)),
        format_(std::move(format)),
        notes_(std::move(notes)) {}

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::string_view format() const override { return format_; }
  const std::vector<std::string>& notes() const override { return notes_; }

  absl::StatusOr<absl::Span<const char>> Read(size_t index,
                                              std::vector<char>* scratch) const override {
    const TensorInfo& info = tensors_[index];
    const StoredTensor& stored = stored_[index];
    RETURN_IF_ERROR(CheckStorage(index));
    const absl::string_view bytes = stored.storage->entry.data;
    if (stored.contiguous) {
      const absl::string_view elements = View(index, 0, info.byte_count());
      return absl::MakeConstSpan(elements.data(), elements.size());
    }
    scratch->resize(info.byte_count());
    CopyRowMajor(stored.view, bytes, absl::MakeSpan(*scratch));
    file_->ForgetPages(bytes);
    return absl::MakeConstSpan(*scratch);
  }
  absl::Status Copy(size_t index, size_t offset, absl::Span<char> out) const override {
    if (!stored_[index].contiguous) return StateDict::Copy(index, offset, out);
    RETURN_IF_ERROR(CheckStorage(index));
    return file_->Copy(View(index, offset, out.size()), out.data());
  }
  bool IsCopied(size_t index) const override { return !stored_[index].contiguous; }

 private:
  absl::Status CheckStorage(size_t index) const {
    Storage& storage = *stored_[index].storage;
    if (storage.sum_is_right.load(std::memory_order_relaxed)) return absl::OkStatus();
    // A large storage is not to fill the memory only because its sum is checked.
    const auto forget = [this](absl::string_view piece) { file_->ForgetPages(piece); };
    RETURN_IF_ERROR(AtTensor(tensors_[index].name, CheckSum(storage.entry, forget)));
    storage.sum_is_right.store(true, std::memory_order_relaxed);
    return absl::OkStatus();
  }

  // Bytes of a contiguous tensor where they lie.
  absl::string_view View(size_t index, size_t offset, size_t size) const {
    const StoredTensor& stored = stored_[index];
    const absl::string_view bytes = stored.storage->entry.data;
    const auto begin = static_cast<size_t>(stored.view.offset) * stored.view.element_size;
    return bytes.substr(begin + offset, size);
  }

  const std::shared_ptr<const MappedFile> file_;
  const std::vector<std::unique_ptr<Storage>> storages_;
  const std::vector<TensorInfo> tensors_;
  const std::vector<StoredTensor> stored_;  // in the order of tensors_
  const std::string format_;
  const std::vector<std::string> notes_;
};

// Turns tensors of the pickle into views of storages, checking each against its archive entry.
class Assembler {
 public:
  Assembler(const PickleHeap& heap, const ZipArchive& archive, absl::string_view root,
            const CheckpointLimits& limits)
      : heap_(heap), archive_(archive), root_(root), limits_(limits) {}

  absl::Status Add(const NamedTensor& named) {
    TensorInfo info{named.name, DType::kFloat32, {}};
    StoredTensor stored;
    RETURN_IF_ERROR(AtTensor(named.name, Assemble(heap_[named.tensor], &info, &stored)));
    tensors_.push_back(std::move(info));
    stored_.push_back(std::move(stored));
    return absl::OkStatus();
  }

  std::shared_ptr<const StateDict> Finish(std::shared_ptr<const MappedFile> file,
                                          std::string format, std::vector<std::string> notes) {
    return std::make_shared<TorchSaveStateDict>(std::move(file), std::move(storages_),
                                                std::move(tensors_), std::move(stored_),
                                                std::move(format), std::move(notes));
  }

 private:
  absl::Status Assemble(const PickleValue& tensor, TensorInfo* info, StoredTensor* stored) {
    const PickleValue& storage = heap_[tensor.items[0]];
    ASSIGN_OR_RETURN(const DType storage_dtype, StorageDType(storage));
    ASSIGN_OR_RETURN(info->dtype, TensorDType(tensor, storage_dtype));
    StridedView& view = stored->view;
    view.offset = heap_[tensor.items[1]].number;
    view.shape = Numbers(tensor.items[2]);
    view.strides = Numbers(tensor.items[3]);
    view.element_size = DTypeSize(info->dtype);
    RETURN_IF_ERROR(CheckShape(info->dtype, view.shape, limits_));
    ASSIGN_OR_RETURN(stored->storage, FindStorage(storage, storage_dtype));
    RETURN_IF_ERROR(CheckInside(view, stored->storage->entry.data.size()));
    stored->contiguous = IsContiguous(view);
    info->shape = view.shape;
    return absl::OkStatus();
  }

  absl::string_view GlobalPart(PickleRef global, size_t part) const {
    return heap_[heap_[global].items[part]].text;
  }

  absl::StatusOr<DType> StorageDType(const PickleValue& storage) const {
    const PickleRef type = storage.items[0];
    const std::optional<DType> dtype = DTypeOfTorchStorage(GlobalPart(type, 1));
    if (dtype.has_value() && absl::StartsWith(GlobalPart(type, 0), "torch")) return *dtype;
    return UnsupportedCheckpoint(
        absl::StrCat("has a storage of type ", GlobalName(heap_, type), ", which is not read"));
  }

  absl::StatusOr<DType> TensorDType(const PickleValue& tensor, DType storage_dtype) const {
    const bool untyped = GlobalPart(heap_[tensor.items[0]].items[0], 1) == "UntypedStorage";
    if (tensor.items.size() < 5) {
      if (untyped) return InvalidCheckpoint("has an untyped storage and no dtype");
      return storage_dtype;
    }
    const std::optional<DType> dtype = DTypeOfTorchName(GlobalPart(tensor.items[4], 1));
    if (dtype.has_value() && GlobalPart(tensor.items[4], 0) == "torch") return *dtype;
    return UnsupportedCheckpoint(
        absl::StrCat("has dtype ", GlobalName(heap_, tensor.items[4]), ", which is not read"));
  }

  std::vector<int64_t> Numbers(PickleRef tuple) const {
    std::vector<int64_t> numbers;
    for (PickleRef item : heap_[tuple].items) numbers.push_back(heap_[item].number);
    return numbers;
  }

  absl::StatusOr<Storage*> FindStorage(const PickleValue& storage, DType dtype) {
    const std::string name = absl::StrCat(root_, "/data/", heap_[storage.items[1]].text);
    const ZipEntry* entry = archive_.Find(name);
    if (entry == nullptr)
      return InvalidCheckpoint(absl::StrCat("zip entry ", Quote(name), " is missing"));
    const uint64_t size = entry->data.size();
    const uint64_t element_size = DTypeSize(dtype);
    if (size % element_size != 0 || storage.number < 0 ||
        static_cast<uint64_t>(storage.number) != size / element_size) {
      return InvalidCheckpoint(absl::StrCat("its storage has ", storage.number,
                                            " elements, but zip entry ", Quote(name), " has ", size,
                                            " bytes"));
    }
    auto [found, inserted] = storage_of_entry_.emplace(entry, nullptr);
    if (inserted) {
      storages_.push_back(std::make_unique<Storage>(*entry));
      found->second = storages_.back().get();
    }
    return found->second;
  }

  const PickleHeap& heap_;
  const ZipArchive& archive_;
  const absl::string_view root_;
  const CheckpointLimits limits_;
  std::vector<std::unique_ptr<Storage>> storages_;
  absl::flat_hash_map<const ZipEntry*, Storage*> storage_of_entry_;
  std::vector<TensorInfo> tensors_;
  std::vector<StoredTensor> stored_;
};

// The folder in the archive that holds data.pkl.
absl::StatusOr<absl::string_view> FindRoot(const ZipArchive& archive) {
  constexpr absl::string_view kPickle = "/data.pkl";
  absl::string_view root;
  for (const ZipEntry& entry : archive.entries()) {
    if (!absl::EndsWith(entry.name, kPickle)) continue;
    const absl::string_view folder = entry.name.substr(0, entry.name.size() - kPickle.size());
    if (folder.empty() || absl::StrContains(folder, "/")) continue;
    if (!root.empty()) return InvalidCheckpoint("the zip archive has more than one data.pkl");
    root = folder;
  }
  if (!root.empty()) return root;
  return InvalidCheckpoint("a zip archive without data.pkl: not written by torch.save");
}

absl::Status CheckByteOrder(const ZipArchive& archive, absl::string_view root) {
  const ZipEntry* order = archive.Find(absl::StrCat(root, "/byteorder"));
  if (order == nullptr) return absl::OkStatus();  // before PyTorch 2.1: little-endian hosts only
  RETURN_IF_ERROR(CheckSum(*order));
  if (order->data == "little") return absl::OkStatus();
  if (order->data == "big") {
    return UnsupportedCheckpoint(
        "saved on a big-endian machine; load it with torch and save it on a little-endian one");
  }
  return InvalidCheckpoint(absl::StrCat("byte order ", Quote(order->data)));
}

absl::StatusOr<Pickle> ReadDataPickle(const ZipArchive& archive, absl::string_view root,
                                      const CheckpointLimits& limits) {
  const ZipEntry* entry = archive.Find(absl::StrCat(root, "/data.pkl"));
  if (entry->data.size() > limits.max_header_bytes) {
    return InvalidCheckpoint(absl::StrCat("a data.pkl of ", entry->data.size(),
                                          " bytes is over the limit of ", limits.max_header_bytes));
  }
  RETURN_IF_ERROR(CheckSum(*entry));
  return ReadPickle(entry->data, limits);
}

}  // namespace

bool LooksLikeTorchSave(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view("PK\x03\x04", 4)) ||
         absl::StartsWith(bytes, absl::string_view("PK\x05\x06", 4));
}

absl::StatusOr<TorchSaveFile> OpenTorchSave(std::shared_ptr<const MappedFile> file,
                                            const CheckpointLimits& limits, absl::string_view key) {
  ASSIGN_OR_RETURN(const ZipArchive archive,
                   ZipArchive::Open(file->bytes(), limits.max_tensors + kMaxOtherEntries));
  ASSIGN_OR_RETURN(const absl::string_view root, FindRoot(archive));
  const bool is_script = IsTorchScript(archive, root);
  for (const ZipEntry& entry : archive.entries()) {
    // Of TorchScript the code is compressed; what is looked at of the rest is checked by
    // FindStorage.
    if (!is_script || absl::StartsWith(entry.name, absl::StrCat(root, "/data"))) {
      RETURN_IF_ERROR(CheckStored(entry));
    }
  }
  RETURN_IF_ERROR(CheckByteOrder(archive, root));
  ASSIGN_OR_RETURN(const Pickle pickle, ReadDataPickle(archive, root, limits));
  FoundStateDict found;
  if (is_script) {
    ASSIGN_OR_RETURN(const TorchScriptClasses classes, ReadTorchScriptClasses(archive, root));
    ASSIGN_OR_RETURN(found, FindModuleState(pickle, classes, limits));
  } else {
    ASSIGN_OR_RETURN(found, FindStateDict(pickle, key));
  }
  if (found.tensors.size() > limits.max_tensors) {
    return InvalidCheckpoint(absl::StrCat("has more than ", limits.max_tensors, " tensors"));
  }
  Assembler assembler(pickle.heap, archive, root, limits);
  for (const NamedTensor& named : found.tensors) RETURN_IF_ERROR(assembler.Add(named));
  return TorchSaveFile{assembler.Finish(std::move(file), is_script ? "TorchScript" : "torch.save",
                                        std::move(found.notes)),
                       found.is_lightning};
}

}  // namespace stockpot
