#include "server/worker/session/torch_save_writer.h"

#include <caffe2/serialize/inline_container.h>

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/torch_save_pickle.h"

namespace stockpot {
namespace {

class TorchSaveWriter final : public TensorWriter {
 public:
  TorchSaveWriter(SummedFile file, std::vector<TensorInfo> tensors)
      : TensorWriter(std::move(tensors)), file_(std::move(file)) {}

  // The archive ends itself when it is destroyed, and must not fail then.
  ~TorchSaveWriter() override {
    if (!archive_.has_value() || archive_->finalized()) return;
    abandoned_ = true;
    Call([this] { archive_->writeEndOfFile(); }).IgnoreError();
  }

  absl::Status Begin(const std::vector<TensorInfo>& tensors) {
    RETURN_IF_ERROR(CheckNames(tensors));
    return Call([&] {
      archive_.emplace([this](const void* bytes, size_t size) {
        return Take({static_cast<const char*>(bytes), size}) ? size : 0;
      });
      WriteEntry("data.pkl", StateDictPickle(tensors));
      WriteEntry(".format_version", "1");
      WriteEntry(".storage_alignment", "64");
      WriteEntry("byteorder", "little");
    });
  }

 private:
  // LibTorch takes an entry whole: parts are gathered.
  absl::Status WritePart(size_t index, absl::Span<const char> elements) override {
    const size_t size = tensors()[index].byte_count();
    if (elements.size() == size) return WriteTensor(index, {elements.data(), size});
    gathered_.reserve(size);
    gathered_.append(elements.data(), elements.size());
    if (gathered_.size() < size) return absl::OkStatus();
    return WriteTensor(index, std::exchange(gathered_, ""));
  }

  absl::Status WriteTensor(size_t index, absl::string_view elements) {
    return Call([&] { WriteEntry(absl::StrCat("data/", index), elements); });
  }

  absl::StatusOr<WrittenFile> Close() override {
    if (archive_->finalized()) return file_.Finish();  // which says that it is finished
    RETURN_IF_ERROR(Call([this] { archive_->writeEndOfFile(); }));
    return file_.Finish();
  }

  void WriteEntry(const std::string& name, absl::string_view bytes) {
    archive_->writeRecord(name, bytes.data(), bytes.size());
  }

  bool Take(absl::string_view bytes) {
    if (abandoned_) return true;
    if (failure_.ok()) failure_ = file_.Write(bytes);
    return failure_.ok();
  }

  // LibTorch throws when it could not write; why is in failure_.
  template <typename Function>
  absl::Status Call(Function&& function) {
    try {
      function();
    } catch (const std::bad_alloc&) {
      throw;  // for TaskRunner::Run
    } catch (const std::exception& error) {
      if (failure_.ok()) {
        const absl::string_view what = error.what();
        failure_ = absl::InternalError(
            absl::StrCat("writing the torch.save archive: ", what.substr(0, what.find('\n'))));
      }
    }
    return failure_;
  }

  SummedFile file_;
  absl::Status failure_;
  std::string gathered_;
  bool abandoned_ = false;  // what the archive still writes is dropped
  std::optional<caffe2::serialize::PyTorchStreamWriter> archive_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TensorWriter>> CreateTorchSaveWriter(
    const std::string& path, std::vector<TensorInfo> tensors) {
  ASSIGN_OR_RETURN(SummedFile file, SummedFile::Create(path));
  auto writer = std::make_unique<TorchSaveWriter>(std::move(file), tensors);
  RETURN_IF_ERROR(writer->Begin(tensors));
  return std::unique_ptr<TensorWriter>(std::move(writer));
}

}  // namespace stockpot
