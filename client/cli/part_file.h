// A file that is being downloaded: FILE.part holds verified bytes only and becomes FILE when the
// whole has the right SHA-256. Thread safety: thread-compatible; a lock keeps other processes out.
#ifndef STOCKPOT_CLIENT_CLI_PART_FILE_H_
#define STOCKPOT_CLIENT_CLI_PART_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace stockpot::cli {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(absl::string_view bytes);
  std::string Finish();  // 64 hexadecimal digits; the object may not be used after

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// CRC-32C (Castagnoli, as in iSCSI). Of "123456789": 0xE3069283.
uint32_t Crc32c(absl::string_view bytes);

class PartFile {
 public:
  // Opens or makes `path`.part and reads what an earlier download left, unless that is longer than
  // `expected_size`. Errors: ABORTED when another process downloads the same file; the system's.
  static absl::StatusOr<std::unique_ptr<PartFile>> Open(const std::string& path,
                                                        int64_t expected_size);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  int64_t size() const { return size_; }
  absl::Status Append(absl::string_view bytes);
  // Forgets everything.
  absl::Status Restart();
  // Flushes, compares and renames. Errors: DATA_LOSS when the sum differs; the .part is removed
  // then.
  absl::Status Commit(const std::string& expected_sha256);

 private:
  PartFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status ReadExisting(int64_t expected_size);

  const std::string path_;  // of the whole file
  const int descriptor_;
  int64_t size_ = 0;
  std::unique_ptr<Sha256> sha256_ = std::make_unique<Sha256>();
};

// Whether `path` is a file of this size and sum. False when it cannot be read.
bool HasContent(const std::string& path, int64_t size, const std::string& sha256);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PART_FILE_H_
