#include "server/worker/merge/part_files.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/random_id.h"
#include "server/base/status.h"

namespace stockpot {

PartFiles::PartFiles(std::string folder)
    : folder_(std::move(folder)), suffix_(absl::StrCat(".part-", RandomId())) {}

PartFiles::~PartFiles() {
  for (const std::string& name : names_) unlink(absl::StrCat(folder_, "/", name, suffix_).c_str());
}

std::string PartFiles::Add(const std::string& name) {
  names_.push_back(name);
  return absl::StrCat(folder_, "/", name, suffix_);
}

absl::Status PartFiles::Rename() {
  while (!names_.empty()) {
    const std::string path = absl::StrCat(folder_, "/", names_.front());
    RETURN_IF_ERROR(RenameDurably(path + suffix_, path));
    names_.erase(names_.begin());
  }
  return absl::OkStatus();
}

}  // namespace stockpot
