// Makes file-system calls below one folder fail, whoever makes them: the C library's functions are
// interposed by whatever program links this, so that SQLite's and libstdc++'s calls count as well.
//
//   FailingCalls calls(folder, {.first = 17, .error = EIO});   // the 17th call fails
//   …
//   EXPECT_EQ(calls.failed(), "pwrite64 stockpot.db-wal");
//
// One at a time. fsync() and fdatasync() there do nothing but succeed: a test that runs a job a
// thousand times looks at errors, not at power cuts. close() and munmap() never fail.
// Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAILING_CALLS_H_
#define STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAILING_CALLS_H_

#include <cstdint>
#include <mutex>
#include <string>

namespace stockpot {

class FailingCalls {
 public:
  struct Options {
    int64_t first = 0;  // the first call to fail, from 1 on; 0: none fails, they are counted
    int64_t count = 1;  // how many fail, one after the other
    int error = 0;      // errno
    // Only calls that change something count, as for ENOSPC and EROFS.
    bool only_writes = false;
  };
  // `folder`: an absolute path without symbolic links.
  FailingCalls(std::string folder, Options options);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;

  // Calls that counted so far.
  int64_t count() const;
  // The first one that failed: its name, and what it was about, below the folder. "" when none.
  std::string failed() const;
  // No further call fails.
  void Mend();

  // For the interposed functions. Whether the path is below the folder.
  bool Covers(const std::string& path) const;
  // True when this call fails; errno is set.
  bool Fails(const char* call, bool writes, const std::string& path);

 private:
  const std::string folder_;
  mutable std::mutex mutex_;
  Options options_;
  int64_t count_ = 0;
  std::string failed_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAILING_CALLS_H_
