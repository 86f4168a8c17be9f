#include "tests/support/failing_calls/failing_calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace stockpot {
namespace {

// The interposed functions have no other way to find it.
std::atomic<FailingCalls*> active{nullptr};
std::mutex in_use;  // that it points to is not destroyed while it is held

constexpr bool kReads = false, kWrites = true;

std::string PathOf(int fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  char path[PATH_MAX];
  const long size = syscall(SYS_readlink, link.c_str(), path, sizeof(path));
  return size < 0 ? "" : std::string(path, static_cast<size_t>(size));
}

std::string PathOf(int folder, const char* path) {
  return path[0] == '/' || folder == AT_FDCWD ? path : PathOf(folder) + "/" + path;
}

bool Fails(const char* call, bool writes, const std::string& path) {
  if (active.load() == nullptr) return false;
  const std::lock_guard<std::mutex> hold(in_use);
  FailingCalls* calls = active.load();
  return calls != nullptr && calls->Fails(call, writes, path);
}

bool Fails(const char* call, bool writes, int fd) {
  return active.load() != nullptr && Fails(call, writes, PathOf(fd));
}

bool Watched(int fd) {
  if (active.load() == nullptr) return false;
  const std::string path = PathOf(fd);
  const std::lock_guard<std::mutex> hold(in_use);
  FailingCalls* calls = active.load();
  return calls != nullptr && calls->Covers(path);
}

// The function that is interposed here, of the same type.
template <typename Function>
Function* Real(Function*, const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

}  // namespace

FailingCalls::FailingCalls(std::string folder, Options options)
    : folder_(std::move(folder)), options_(options) {
  const std::lock_guard<std::mutex> hold(in_use);
  if (active.exchange(this) != nullptr) std::abort();
}

FailingCalls::~FailingCalls() {
  const std::lock_guard<std::mutex> hold(in_use);
  active.store(nullptr);
}

int64_t FailingCalls::count() const {
  std::lock_guard<std::mutex> hold(mutex_);
  return count_;
}

std::string FailingCalls::failed() const {
  std::lock_guard<std::mutex> hold(mutex_);
  return failed_;
}

void FailingCalls::Mend() {
  std::lock_guard<std::mutex> hold(mutex_);
  options_.first = 0;
}

bool FailingCalls::Covers(const std::string& path) const {
  return path.compare(0, folder_.size(), folder_) == 0;
}

bool FailingCalls::Fails(const char* call, bool writes, const std::string& path) {
  if (!Covers(path)) return false;
  std::lock_guard<std::mutex> hold(mutex_);
  if (options_.only_writes && !writes) return false;
  ++count_;
  if (options_.first == 0 || count_ < options_.first || count_ >= options_.first + options_.count) {
    return false;
  }
  if (failed_.empty()) failed_ = std::string(call) + " " + path.substr(folder_.size());
  errno = options_.error;
  return true;
}

}  // namespace stockpot

using stockpot::Fails;
using stockpot::kReads;
using stockpot::kWrites;
using stockpot::PathOf;
using stockpot::Real;
using stockpot::Watched;

// Calls that take a path, or a file descriptor and nothing that matters here.
#define STOCKPOT_INTERPOSE(result, name, parameters, arguments, writes, about)         \
  extern "C" result name parameters {                                                  \
    static auto* const real = Real(static_cast<result(*) parameters>(nullptr), #name); \
    if (Fails(#name, writes, about)) return -1;                                        \
    return real arguments;                                                             \
  }

STOCKPOT_INTERPOSE(int, mkdir, (const char* path, mode_t mode), (path, mode), kWrites, path)
STOCKPOT_INTERPOSE(int, rmdir, (const char* path), (path), kWrites, path)
STOCKPOT_INTERPOSE(int, unlink, (const char* path), (path), kWrites, path)
STOCKPOT_INTERPOSE(int, remove, (const char* path), (path), kWrites, path)
STOCKPOT_INTERPOSE(int, rename, (const char* from, const char* to), (from, to), kWrites, to)
STOCKPOT_INTERPOSE(int, chmod, (const char* path, mode_t mode), (path, mode), kWrites, path)
STOCKPOT_INTERPOSE(int, truncate, (const char* path, off_t size), (path, size), kWrites, path)
STOCKPOT_INTERPOSE(int, access, (const char* path, int mode), (path, mode), kReads, path)
STOCKPOT_INTERPOSE(int, stat, (const char* path, struct stat* found), (path, found), kReads, path)
STOCKPOT_INTERPOSE(int, stat64, (const char* path, struct stat64* found), (path, found), kReads,
                   path)
STOCKPOT_INTERPOSE(int, lstat, (const char* path, struct stat* found), (path, found), kReads, path)
STOCKPOT_INTERPOSE(int, lstat64, (const char* path, struct stat64* found), (path, found), kReads,
                   path)
STOCKPOT_INTERPOSE(int, unlinkat, (int folder, const char* path, int flags), (folder, path, flags),
                   kWrites, PathOf(folder, path))
STOCKPOT_INTERPOSE(int, fchmodat, (int folder, const char* path, mode_t mode, int flags),
                   (folder, path, mode, flags), kWrites, PathOf(folder, path))
STOCKPOT_INTERPOSE(int, mkostemp, (char* path, int flags), (path, flags), kWrites, path)
STOCKPOT_INTERPOSE(int, mkostemp64, (char* path, int flags), (path, flags), kWrites, path)

STOCKPOT_INTERPOSE(int, fstat, (int fd, struct stat* found), (fd, found), kReads, fd)
STOCKPOT_INTERPOSE(int, fstat64, (int fd, struct stat64* found), (fd, found), kReads, fd)
STOCKPOT_INTERPOSE(int, fchmod, (int fd, mode_t mode), (fd, mode), kWrites, fd)
STOCKPOT_INTERPOSE(int, ftruncate, (int fd, off_t size), (fd, size), kWrites, fd)
STOCKPOT_INTERPOSE(int, ftruncate64, (int fd, off64_t size), (fd, size), kWrites, fd)
STOCKPOT_INTERPOSE(int, flock, (int fd, int operation), (fd, operation), kReads, fd)
STOCKPOT_INTERPOSE(ssize_t, read, (int fd, void* to, size_t size), (fd, to, size), kReads, fd)
STOCKPOT_INTERPOSE(ssize_t, pread, (int fd, void* to, size_t size, off_t at), (fd, to, size, at),
                   kReads, fd)
STOCKPOT_INTERPOSE(ssize_t, pread64, (int fd, void* to, size_t size, off64_t at),
                   (fd, to, size, at), kReads, fd)
STOCKPOT_INTERPOSE(ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size),
                   kWrites, fd)
STOCKPOT_INTERPOSE(ssize_t, writev, (int fd, const struct iovec* from, int count),
                   (fd, from, count), kWrites, fd)
STOCKPOT_INTERPOSE(ssize_t, pwrite, (int fd, const void* from, size_t size, off_t at),
                   (fd, from, size, at), kWrites, fd)
STOCKPOT_INTERPOSE(ssize_t, pwrite64, (int fd, const void* from, size_t size, off64_t at),
                   (fd, from, size, at), kWrites, fd)

#undef STOCKPOT_INTERPOSE

// Syncing is what takes the time, and only a power cut would show that it was left out.
#define STOCKPOT_INTERPOSE_SYNC(name)                                          \
  extern "C" int name(int fd) {                                                \
    static auto* const real = Real(static_cast<int (*)(int)>(nullptr), #name); \
    if (Fails(#name, kWrites, fd)) return -1;                                  \
    return Watched(fd) ? 0 : real(fd);                                         \
  }

STOCKPOT_INTERPOSE_SYNC(fsync)
STOCKPOT_INTERPOSE_SYNC(fdatasync)

#undef STOCKPOT_INTERPOSE_SYNC

#define STOCKPOT_INTERPOSE_OPEN(name, parameters, arguments, about)                      \
  extern "C" int name parameters {                                                       \
    va_list more;                                                                        \
    va_start(more, flags);                                                               \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                                        \
    static auto* const real = Real(static_cast<int(*) parameters>(nullptr), #name);      \
    if (Fails(#name, (flags & O_CREAT) != 0, about)) return -1;                          \
    return real arguments;                                                               \
  }

STOCKPOT_INTERPOSE_OPEN(open, (const char* path, int flags, ...), (path, flags, mode), path)
STOCKPOT_INTERPOSE_OPEN(open64, (const char* path, int flags, ...), (path, flags, mode), path)
STOCKPOT_INTERPOSE_OPEN(openat, (int folder, const char* path, int flags, ...),
                        (folder, path, flags, mode), PathOf(folder, path))
STOCKPOT_INTERPOSE_OPEN(openat64, (int folder, const char* path, int flags, ...),
                        (folder, path, flags, mode), PathOf(folder, path))

#undef STOCKPOT_INTERPOSE_OPEN

extern "C" DIR* opendir(const char* path) {
  static auto* const real = Real(static_cast<DIR* (*)(const char*)>(nullptr), "opendir");
  return Fails("opendir", kReads, path) ? nullptr : real(path);
}

extern "C" DIR* fdopendir(int fd) {
  static auto* const real = Real(static_cast<DIR* (*)(int)>(nullptr), "fdopendir");
  return Fails("fdopendir", kReads, fd) ? nullptr : real(fd);
}

extern "C" struct dirent* readdir(DIR* folder) {
  static auto* const real = Real(static_cast<struct dirent* (*)(DIR*)>(nullptr), "readdir");
  return Fails("readdir", kReads, dirfd(folder)) ? nullptr : real(folder);
}

extern "C" void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t from) {
  static auto* const real =
      Real(static_cast<void* (*)(void*, size_t, int, int, int, off64_t)>(nullptr), "mmap64");
  if (fd >= 0 && Fails("mmap64", kReads, fd)) return MAP_FAILED;
  return real(at, size, protection, flags, fd, from);
}

// Of SQLite's locks. Letting go of one cannot fail on a local disk, nor can the rest.
extern "C" int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  static auto* const real = Real(static_cast<int (*)(int, int, ...)>(nullptr), "fcntl64");
  const bool locks = command == F_SETLK && static_cast<struct flock*>(argument)->l_type != F_UNLCK;
  if (locks && Fails("fcntl64", kReads, fd)) return -1;
  return real(fd, command, argument);
}
