// What the fuzz targets share: libFuzzer's entry point, a file in memory, and how a promise is
// held.
#ifndef STOCKPOT_TESTS_FUZZ_FUZZ_H_
#define STOCKPOT_TESTS_FUZZ_FUZZ_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

// Called with one input after the other.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace stockpot {

// Ends the process, which is how a fuzzer learns of it.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline absl::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A file without a folder, gone when this is.
class MemoryFile {
 public:
  explicit MemoryFile(absl::string_view bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    Require(written == static_cast<ssize_t>(bytes.size()),
            "a file in memory takes what it is given");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_FUZZ_FUZZ_H_
