#include "server/storage/remote_output.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/storage/retry.h"

namespace stockpot {
namespace {

// How often a file is written whose content is read back as another.
constexpr int kMostWrites = 3;

// In words of writing.
absl::Status OfWriting(const absl::Status& status) {
  if (GetErrorFacts(status).reason == "SOURCE_FORBIDDEN") {
    return WithReason(
        absl::PermissionDeniedError("the server's credentials may not write or read there"),
        "OUTPUT_NOT_ALLOWED");
  }
  if (absl::IsNotFound(status)) {
    return WithReason(absl::InvalidArgumentError("there is no such bucket or container"),
                      "INVALID_FIELD");
  }
  return status;
}

// Without a reason: reading it once more would not help.
absl::Status Damaged() { return absl::DataLossError("what is read back is not what was written"); }

}  // namespace

absl::StatusOr<RemoteOutput> RemoteOutput::Open(const std::string& uri, RemoteFiles* files) {
  ASSIGN_OR_RETURN(RemoteUri folder, ParseRemoteFolder(uri));
  ASSIGN_OR_RETURN(RemoteStore* const store, files->StoreOf(folder));
  return RemoteOutput(std::move(folder), store, &files->download_options());
}

absl::Status RemoteOutput::Try(const KeepGoing& keep_going,
                               const std::function<absl::Status()>& attempt) const {
  return Retry(options_->retry, options_->sleep, keep_going, attempt);
}

absl::StatusOr<std::optional<std::string>> RemoteOutput::Read(const std::string& name,
                                                              size_t max_bytes,
                                                              const KeepGoing& keep_going) const {
  ASSIGN_OR_RETURN(const RemoteUri uri, Below(folder_, name));
  std::string content;
  const absl::Status status = Try(keep_going, [&]() -> absl::Status {
    content.clear();
    ASSIGN_OR_RETURN(const std::unique_ptr<RemoteFile> file,
                     store_->Look(uri, Purpose::kData, keep_going));
    if (file->facts().size.value_or(0) > max_bytes) {
      return WithReason(absl::FailedPreconditionError(
                            absl::StrCat(name, " there has more than ", max_bytes, " bytes")),
                        "SOURCE_TOO_LARGE");
    }
    return file->ReadAll(
        [&](absl::string_view bytes) {
          content.append(bytes.data(), bytes.size());
          return absl::OkStatus();
        },
        keep_going);
  });
  if (absl::IsNotFound(status)) return std::nullopt;
  RETURN_IF_ERROR(OfWriting(status));
  return content;
}

absl::Status RemoteOutput::Write(const std::string& name, const std::string& path,
                                 const Progress& progress) const {
  ASSIGN_OR_RETURN(const RemoteUri uri, Below(folder_, name));
  ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  int64_t told = 0;  // never falls, though a try may begin anew
  const auto total = static_cast<int64_t>(2 * file->bytes().size());
  const Progress forward = [&](int64_t done, int64_t) {
    return progress(told = std::max(told, done), total);
  };
  const KeepGoing keep_going = [&] { return progress(told, total); };
  absl::Status status;
  for (int time = 0; time < kMostWrites; ++time) {
    RETURN_IF_ERROR(OfWriting(Try(keep_going, [&] { return store_->Write(uri, file, forward); })));
    status = OfWriting(Compare(uri, *file, forward));
    if (!absl::IsDataLoss(status)) return status;
  }
  return WithReason(status, "SOURCE_DAMAGED");
}

absl::Status RemoteOutput::Compare(const RemoteUri& uri, const MappedFile& file,
                                   const Progress& progress) const {
  const absl::string_view bytes = file.bytes();
  const auto written = static_cast<int64_t>(bytes.size());
  size_t at = 0;
  const KeepGoing keep_going = [&] { return progress(written + static_cast<int64_t>(at), 0); };
  std::unique_ptr<RemoteFile> there;
  RETURN_IF_ERROR(Try(keep_going, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(there, store_->Look(uri, Purpose::kData, keep_going));
    return absl::OkStatus();
  }));
  if (there->facts().size != bytes.size()) return Damaged();
  // In parts, so that a connection that breaks costs one of them.
  while (at < bytes.size()) {
    const size_t begin = at, end = std::min<size_t>(begin + options_->part_bytes, bytes.size());
    RETURN_IF_ERROR(Try(keep_going, [&] {
      at = begin;
      return there->Read(
          begin, end,
          [&](absl::string_view read) -> absl::Status {
            if (bytes.substr(at, read.size()) != read) return Damaged();
            at += read.size();
            return keep_going();
          },
          keep_going);
    }));
    if (at == begin) return Damaged();
    file.ForgetPages(bytes.substr(begin, at - begin));
  }
  return absl::OkStatus();
}

absl::Status RemoteOutput::Remove(const std::string& name, const KeepGoing& keep_going) const {
  ASSIGN_OR_RETURN(const RemoteUri uri, Below(folder_, name));
  return OfWriting(Try(keep_going, [&] { return store_->Remove(uri, keep_going); }));
}

absl::Status RemoteOutput::TryWriting(const KeepGoing& keep_going) const {
  return OfWriting(Try(keep_going, [&] { return store_->TryWriting(folder_, keep_going); }));
}

}  // namespace stockpot
