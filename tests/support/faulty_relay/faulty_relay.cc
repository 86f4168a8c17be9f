#include "tests/support/faulty_relay/faulty_relay.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tests/support/http_fetch.h"

namespace stockpot {
namespace {

// False: the other side is gone.
bool SendAll(int to, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t sent = send(to, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

// One step of one direction; false: it is over. `left` counts down to where the connection breaks.
bool Pass(int from, int to, std::optional<size_t>* left) {
  char buffer[16 << 10];
  const ssize_t count = read(from, buffer, sizeof(buffer));
  if (count <= 0) return false;
  const size_t size = std::min(static_cast<size_t>(count), left->value_or(sizeof(buffer)));
  if (!SendAll(to, buffer, size)) return false;
  if (left->has_value()) **left -= size;
  return left->value_or(1) > 0;
}

}  // namespace

FaultyRelay::FaultyRelay(int port) : target_(port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = LoopbackAddress(0);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      listen(listener_, 64) == 0 &&
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  acceptor_ = std::thread([this] { Accept(); });
}

FaultyRelay::~FaultyRelay() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    for (const int handle : handles_) shutdown(handle, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void FaultyRelay::OnConnection(std::function<Fault(int number)> fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
  connections_ = 0;
  for (const int handle : handles_) shutdown(handle, SHUT_RDWR);
}

void FaultyRelay::Accept() {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (client < 0 || stopping_) {
      if (client >= 0) close(client);
      return;
    }
    ++connections_;
    threads_.emplace_back([this, client, fault = fault_ ? fault_(connections_) : Fault()] {
      Serve(Adopt(client), fault);
    });
  }
}

int FaultyRelay::Adopt(int handle) {
  const std::lock_guard lock(mutex_);
  handles_.insert(handle);
  if (stopping_) shutdown(handle, SHUT_RDWR);
  return handle;
}

void FaultyRelay::Drop(int handle) {
  const std::lock_guard lock(mutex_);
  handles_.erase(handle);
  close(handle);
}

void FaultyRelay::Serve(int client, Fault fault) {
  const int server = Adopt(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = LoopbackAddress(target_);
  bool goes_on = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  while (goes_on) {
    pollfd sides[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(sides, 2, -1) <= 0) break;
    if (sides[0].revents != 0 && !fault.answer.empty()) {
      char request[16 << 10];
      if (read(client, request, sizeof(request)) > 0) {
        SendAll(client, fault.answer.data(), fault.answer.size());
      }
      break;
    }
    if (sides[0].revents != 0) goes_on = Pass(client, server, &fault.break_upload_after);
    if (goes_on && sides[1].revents != 0) goes_on = Pass(server, client, &fault.break_after);
  }
  Drop(server);
  Drop(client);
}

}  // namespace stockpot
