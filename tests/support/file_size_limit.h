// While it lives, no file of this process grows beyond a size: writing fails as on a full disk,
// but with EFBIG, which ErrnoStatus calls INTERNAL.
// Thread safety: one at a time.
#ifndef STOCKPOT_TESTS_SUPPORT_FILE_SIZE_LIMIT_H_
#define STOCKPOT_TESTS_SUPPORT_FILE_SIZE_LIMIT_H_

#include <signal.h>
#include <sys/resource.h>

namespace stockpot {

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_before_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, signal_before_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*const signal_before_)(int);
  rlimit before_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FILE_SIZE_LIMIT_H_
