#include "server/worker/checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

constexpr size_t kHeaderAlignment = 8;

// A JSON string literal; bytes that are not UTF-8 become U+FFFD.
std::string JsonString(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TensorJson(const TensorInfo& info, uint64_t begin) {
  return absl::StrCat(JsonString(info.name), ":{\"dtype\":\"", DTypeName(info.dtype),
                      "\",\"shape\":[", absl::StrJoin(info.shape, ","), "],\"data_offsets\":[",
                      begin, ",", begin + info.byte_count(), "]}");
}

// The size and the header: metadata first (sorted), then the tensors as they come.
std::string Header(const std::vector<TensorInfo>& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> members;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata) {
      pairs.push_back(absl::StrCat(JsonString(key), ":", JsonString(value)));
    }
    members.push_back(absl::StrCat("\"__metadata__\":{", absl::StrJoin(pairs, ","), "}"));
  }
  uint64_t offset = 0;
  for (const TensorInfo& info : tensors) {
    members.push_back(TensorJson(info, offset));
    offset += info.byte_count();
  }
  std::string json = absl::StrCat("{", absl::StrJoin(members, ","), "}");
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  const uint64_t size = json.size();
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(&size), sizeof(size)), json);
}

absl::Status CheckNames(const std::vector<TensorInfo>& tensors) {
  std::set<absl::string_view> names;
  for (const TensorInfo& info : tensors) {
    RETURN_IF_ERROR(CheckTensorName(info.name));
    if (!names.insert(info.name).second) {
      return AtTensor(info.name, InvalidCheckpoint("is named twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

class SafetensorsWriter::Impl {
 public:
  Impl(int fd, std::vector<TensorInfo> tensors) : fd_(fd), tensors_(std::move(tensors)) {}
  ~Impl() {
    if (fd_ >= 0) close(fd_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::Status Write(absl::string_view bytes) {
    digest_.Update(bytes);
    written_.byte_count += bytes.size();
    while (!bytes.empty()) {
      const ssize_t count = write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        const int error = errno;
        close(std::exchange(fd_, -1));  // what is in the file is unknown: nothing may follow
        return ErrnoStatus(error, "cannot write");
      }
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  absl::Status Append(absl::Span<const char> elements) {
    if (next_ == tensors_.size()) {
      return absl::FailedPreconditionError("all tensors are written already");
    }
    const TensorInfo& info = tensors_[next_];
    if (elements.size() != info.byte_count()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(info.name), ": ",
                                                     elements.size(), " bytes given, it has ",
                                                     info.byte_count()));
    }
    RETURN_IF_ERROR(Write({elements.data(), elements.size()}));
    ++next_;
    return absl::OkStatus();
  }

  absl::StatusOr<WrittenFile> Finish() {
    if (next_ != tensors_.size()) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor ", Quote(tensors_[next_].name), " was not written"));
    }
    if (fd_ < 0) return absl::FailedPreconditionError("the file is finished already");
    if (fsync(fd_) != 0) return ErrnoStatus(errno, "cannot sync");
    if (close(std::exchange(fd_, -1)) != 0) return ErrnoStatus(errno, "cannot close");
    written_.sha256 = digest_.Finish();
    return written_;
  }

 private:
  int fd_;
  const std::vector<TensorInfo> tensors_;
  size_t next_ = 0;  // of tensors_, to be written
  Sha256 digest_;
  WrittenFile written_;
};

absl::StatusOr<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(
    const std::string& path, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata) {
  RETURN_IF_ERROR(CheckNames(tensors));
  const std::string header = Header(tensors, metadata);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot create");
  auto impl = std::make_unique<Impl>(fd, std::move(tensors));
  RETURN_IF_ERROR(impl->Write(header));
  return std::unique_ptr<SafetensorsWriter>(new SafetensorsWriter(std::move(impl)));
}

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SafetensorsWriter::~SafetensorsWriter() = default;

absl::Status SafetensorsWriter::Append(absl::Span<const char> elements) {
  return impl_->Append(elements);
}

absl::StatusOr<WrittenFile> SafetensorsWriter::Finish() { return impl_->Finish(); }

}  // namespace stockpot
