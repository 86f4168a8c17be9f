// How fast a file comes over loopback into the cache, sums and fsync included, beside writing the
// same bytes and syncing them. Run by hand: build/release/bin/download_speed [MEBIBYTES]
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>

#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/storage/remote_files.h"
#include "tests/support/http_server/http_server.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

double SecondsOf(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void WritePlainly(const std::string& path, const std::string& content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  for (size_t at = 0; at < content.size();) {
    const ssize_t count = write(fd, content.data() + at, content.size() - at);
    if (count <= 0) std::abort();
    at += static_cast<size_t>(count);
  }
  if (fsync(fd) != 0) std::abort();
  close(fd);
}

int Main(size_t mebibytes) {
  signal(SIGPIPE, SIG_IGN);
  std::string content(mebibytes << 20, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 2654435761u >> 13);
  const double mb = static_cast<double>(content.size()) / 1e6;
  HttpServer server;
  server.Put("/tag", {.content = content});
  server.Put("/sum",
             {.content = content, .fields = {{"X-Linked-Etag", "\"" + Sha256Hex(content) + "\""}}});
  TemporaryFolder folder;
  SystemClock clock;
  RemoteAccess access;
  access.allowed_private_hosts = {"127.0.0.1"};
  const auto report = [&](const char* what, double seconds) {
    std::printf("%-40s %8.0f MB/s\n", what, mb / seconds);
  };
  report("write and fsync", SecondsOf([&] { WritePlainly(folder / "plain", content); }));
  for (const int connections : {1, 4}) {
    for (const char* path : {"/tag", "/sum"}) {
      RemoteFiles::Options options;
      options.cache_folder = folder / (std::to_string(connections) + path);
      options.download.connections = connections;
      const auto files = OpenRemoteFiles(access, options, &clock, nullptr);
      if (!files.ok()) return EXIT_FAILURE;
      const double seconds = SecondsOf([&] {
        const auto copy = (*files)->Fetch(server.Url(path), Purpose::kData, Unwatched);
        if (!copy.ok()) std::cerr << copy.status() << std::endl;
      });
      report((std::to_string(connections) + " connections, " + (path + 1)).c_str(), seconds);
    }
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  return stockpot::Main(argc > 1 ? static_cast<size_t>(std::atol(argv[1])) : 1024);
}
