// What an HTTP client on this machine gets. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_HTTP_FETCH_H_
#define STOCKPOT_TESTS_SUPPORT_HTTP_FETCH_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace stockpot {

inline sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Head and body; empty when nobody answers.
inline std::string HttpFetch(int port, const std::string& path) {
  const int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(port);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  std::string response;
  if (connect(handle, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      write(handle, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    char buffer[4096];
    ssize_t count;
    while ((count = read(handle, buffer, sizeof(buffer))) > 0) {
      response.append(buffer, static_cast<size_t>(count));
    }
  }
  close(handle);
  return response;
}

// A port that nobody listens on at the moment; 0 when there is none.
inline int FreePort() {
  const int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = LoopbackAddress(0);
  socklen_t size = sizeof(address);
  int port = 0;
  if (bind(handle, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(handle);
  return port;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_HTTP_FETCH_H_
