#include "server/control/access/access_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxBytes = 4 << 20;
constexpr absl::Duration kLookEvery = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<AccessFile>> AccessFile::Open(const std::string& path, Clock* clock,
                                                             Log* log) {
  auto file = std::unique_ptr<AccessFile>(new AccessFile(path, clock, log));
  absl::MutexLock lock(&file->mutex_);
  RETURN_IF_ERROR(file->Read());
  file->looked_at_ = clock->Now();
  return file;
}

absl::Status AccessFile::Read() {
  ASSIGN_OR_RETURN(std::string text, ReadSmallFile(path_, kMaxBytes));
  if (list_ != nullptr && text == text_) return absl::OkStatus();
  ASSIGN_OR_RETURN(AccessList list, AccessList::Parse(text));
  if (list_ != nullptr) {
    log_->Info("access_file_read", {{"clients", absl::StrCat(list.size())}});
  }
  text_ = std::move(text);
  list_ = std::make_shared<const AccessList>(std::move(list));
  return absl::OkStatus();
}

std::shared_ptr<const AccessList> AccessFile::list() {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = clock_->Now();
  if (now < looked_at_ + kLookEvery && now >= looked_at_) return list_;
  looked_at_ = now;
  const absl::Status read = Read();
  const std::string problem = read.ok() ? "" : std::string(read.message());
  if (problem != problem_ && !problem.empty()) {
    log_->Error("access_file_unusable",
                {{"error", problem}, {"still_counts", "what it said before"}});
  }
  problem_ = problem;
  return list_;
}

}  // namespace stockpot
