#include "client/cli/part_file.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace stockpot::cli {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr char kSuffix[] = ".part";

// OpenSSL fails here only when memory is gone or the digest is compiled out: nothing can go on
// then.
void Check(int result) {
  if (result != 1) std::abort();
}

absl::Status SystemError(const std::string& path, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

// Calls `use` with all bytes from the descriptor's position on. False when reading fails.
bool ReadAll(int descriptor, const std::function<void(absl::string_view)>& use) {
  std::vector<char> buffer(kReadBytes);
  while (true) {
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0;
    use({buffer.data(), static_cast<size_t>(count)});
  }
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  Check(context_ == nullptr ? 0 : EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;

void Sha256::Update(absl::string_view bytes) {
  Check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Check(EVP_DigestFinal_ex(context_.get(), digest, &size));
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

uint32_t Crc32c(absl::string_view bytes) {
  // ISA-L leaves both inversions to the caller, and takes lengths as int.
  uint32_t crc = 0xFFFFFFFF;
  while (!bytes.empty()) {
    const absl::string_view piece = bytes.substr(0, std::numeric_limits<int>::max());
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
    bytes.remove_prefix(piece.size());
  }
  return ~crc;
}

absl::StatusOr<std::unique_ptr<PartFile>> PartFile::Open(const std::string& path,
                                                         int64_t expected_size) {
  const std::string part = path + kSuffix;
  const int descriptor = open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) return SystemError(part, "cannot be written");
  std::unique_ptr<PartFile> file(new PartFile(path, descriptor));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return absl::AbortedError(absl::StrCat(part, ": another process downloads this file"));
  }
  absl::Status status = file->ReadExisting(expected_size);
  if (!status.ok()) return status;
  return file;
}

PartFile::~PartFile() { close(descriptor_); }

absl::Status PartFile::ReadExisting(int64_t expected_size) {
  const bool read = ReadAll(descriptor_, [this](absl::string_view bytes) {
    sha256_->Update(bytes);
    size_ += static_cast<int64_t>(bytes.size());
  });
  if (!read) return SystemError(path_ + kSuffix, "cannot be read");
  return size_ > expected_size ? Restart() : absl::OkStatus();
}

absl::Status PartFile::Append(absl::string_view bytes) {
  sha256_->Update(bytes);
  size_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(path_ + kSuffix, "cannot be written");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status PartFile::Restart() {
  if (ftruncate(descriptor_, 0) != 0 || lseek(descriptor_, 0, SEEK_SET) != 0) {
    return SystemError(path_ + kSuffix, "cannot be emptied");
  }
  size_ = 0;
  sha256_ = std::make_unique<Sha256>();
  return absl::OkStatus();
}

absl::Status PartFile::Commit(const std::string& expected_sha256) {
  const std::string part = path_ + kSuffix;
  const std::string sha256 = sha256_->Finish();
  if (sha256 != expected_sha256) {
    unlink(part.c_str());
    return absl::DataLossError(absl::StrCat(path_, ": the bytes that came have SHA-256 ", sha256,
                                            ", the server promised ", expected_sha256));
  }
  if (fsync(descriptor_) != 0) return SystemError(part, "cannot be flushed to the disk");
  if (std::rename(part.c_str(), path_.c_str()) != 0) return SystemError(path_, "cannot be made");
  return absl::OkStatus();
}

bool HasContent(const std::string& path, int64_t size, const std::string& sha256) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) != static_cast<uintmax_t>(size) || error) {
    return false;
  }
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  Sha256 sum;
  const bool read = ReadAll(descriptor, [&](absl::string_view bytes) { sum.Update(bytes); });
  close(descriptor);
  return read && sum.Finish() == sha256;
}

}  // namespace stockpot::cli
