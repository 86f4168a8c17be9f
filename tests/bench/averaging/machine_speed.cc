// How fast this machine is at what averaging cannot do without, by the shortest way there is:
//
//   machine_speed map THREADS FILE…     reads mapped files once, adding up what is in them
//   machine_speed pread THREADS FILE…   reads them with pread, 4 MiB at a time: for a cold cache
//   machine_speed write FILE BYTES      writes a new file past the system's cache and syncs it
//   machine_speed write_cached FILE BYTES   the same through the cache
//
// Prints {"bytes": …, "seconds": …}.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPiece = 4 << 20;

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

struct File {
  int fd;
  size_t size;
  const char* data;
};

uint64_t Sum(const char* bytes, size_t size) {
  uint64_t sum[8] = {};
  for (size_t i = 0; i + sizeof(sum) <= size; i += sizeof(sum)) {
    uint64_t words[8];
    memcpy(words, bytes + i, sizeof(words));
    for (int j = 0; j < 8; ++j) sum[j] += words[j];
  }
  uint64_t total = 0;
  for (const uint64_t part : sum) total += part;
  return total;
}

// Every piece of every file, by `threads`.
void ForEachPiece(const std::vector<File>& files, int threads,
                  const std::function<void(const File&, size_t, size_t)>& use) {
  std::vector<std::pair<const File*, size_t>> pieces;
  for (const File& file : files) {
    for (size_t begin = 0; begin < file.size; begin += kPiece) pieces.emplace_back(&file, begin);
  }
  std::atomic<size_t> next = 0;
  std::vector<std::jthread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&] {
      for (size_t i = next++; i < pieces.size(); i = next++) {
        const auto [file, begin] = pieces[i];
        use(*file, begin, std::min(kPiece, file->size - begin));
      }
    });
  }
}

size_t Read(bool map, int threads, const std::vector<std::string>& paths) {
  std::vector<File> files;
  size_t bytes = 0;
  for (const std::string& path : paths) {
    struct stat info;
    const int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0) Die(path.c_str());
    const auto size = static_cast<size_t>(info.st_size);
    void* data = map ? mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0) : nullptr;
    if (data == MAP_FAILED) Die("mmap");
    files.push_back({fd, size, static_cast<const char*>(data)});
    bytes += size;
  }
  std::atomic<uint64_t> total = 0;
  ForEachPiece(files, threads, [&](const File& file, size_t begin, size_t size) {
    if (map) {
      total += Sum(file.data + begin, size);
      return;
    }
    thread_local std::vector<char> buffer(kPiece);
    if (pread(file.fd, buffer.data(), size, static_cast<off_t>(begin)) < 0) Die("pread");
    total += static_cast<unsigned char>(buffer[0]);
  });
  fprintf(stderr, "sum %llu\n", static_cast<unsigned long long>(total));
  return bytes;
}

size_t Write(bool direct, const char* path, size_t bytes) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | (direct ? O_DIRECT : 0), 0644);
  auto* piece = static_cast<char*>(aligned_alloc(4096, kPiece));
  if (fd < 0 || piece == nullptr) Die(path);
  memset(piece, 7, kPiece);
  const size_t count = (bytes + kPiece - 1) / kPiece;
  for (size_t i = 0; i < count; ++i) {
    if (write(fd, piece, kPiece) != static_cast<ssize_t>(kPiece)) Die("write");
  }
  if (fsync(fd) != 0 || close(fd) != 0) Die("fsync");
  return count * kPiece;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 3) {
    fprintf(stderr, "see the comment at the head of machine_speed.cc\n");
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  size_t bytes = 0;
  if (arguments[0] == "map" || arguments[0] == "pread") {
    bytes = Read(arguments[0] == "map", std::atoi(arguments[1].c_str()),
                 {arguments.begin() + 2, arguments.end()});
  } else {
    bytes = Write(arguments[0] == "write", arguments[1].c_str(),
                  strtoull(arguments[2].c_str(), nullptr, 10));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  printf("{\"bytes\": %zu, \"seconds\": %.4f}\n", bytes, seconds.count());
  return 0;
}
