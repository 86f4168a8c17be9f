// A relay in front of any server on this machine, which breaks connections when it is told to: for
// what must survive a network, over servers that never err of themselves. What errs in words of a
// protocol is http_server/. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAULTY_RELAY_FAULTY_RELAY_H_
#define STOCKPOT_TESTS_SUPPORT_FAULTY_RELAY_FAULTY_RELAY_H_

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace stockpot {

class FaultyRelay {
 public:
  // What happens to a connection.
  struct Fault {
    // Given in place of the server's words, as they are; the connection ends then.
    std::string answer = {};
    // After so many bytes from the server, or to it, the connection ends.
    std::optional<size_t> break_after = {}, break_upload_after = {};
  };

  // Relays to `port` of 127.0.0.1.
  explicit FaultyRelay(int port);
  ~FaultyRelay();
  FaultyRelay(const FaultyRelay&) = delete;
  FaultyRelay& operator=(const FaultyRelay&) = delete;

  int port() const { return port_; }
  // Asked for each connection, which are numbered from 1 on since the last call of this. Clients
  // keep connections: those open now are ended.
  void OnConnection(std::function<Fault(int number)> fault);

 private:
  void Accept();
  void Serve(int client, Fault fault);
  int Adopt(int handle);  // ended with the relay
  void Drop(int handle);

  const int target_;
  int listener_ = -1, port_ = 0;
  std::mutex mutex_;
  std::function<Fault(int)> fault_;
  int connections_ = 0;
  std::set<int> handles_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAULTY_RELAY_FAULTY_RELAY_H_
