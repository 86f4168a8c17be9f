// A real HTTP/1.1 server on a free port of 127.0.0.1, for what reads files over HTTP: ranges,
// If-Range, entity tags, connections that are kept; and every fault that a test asks for.
//
//   HttpServer server;
//   server.Put("/a", {.content = "…"});
//   server.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
//     if (++requests == 2) reply->break_after = 100;
//   });
//
// Thread safety: thread-safe. What OnReply was given is called from one thread at a time.
#ifndef STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HTTP_SERVER_H_
#define STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HTTP_SERVER_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_server/test_certificate.h"

namespace stockpot {

class HttpServer {
 public:
  struct File {
    std::string content;
    std::string entity_tag = "\"1\"";  // "": none
    std::map<std::string, std::string> fields = {};
    bool has_ranges = true;
  };
  struct Request {
    std::string method;                         // "GET", "HEAD", …
    std::string target;                         // with its query
    std::map<std::string, std::string> fields;  // by lower-case name
  };
  struct Reply {
    int status = 200;
    std::map<std::string, std::string> fields = {};
    std::shared_ptr<const std::string> content = {};
    size_t begin = 0, size = 0;  // of `content`, what is sent
    bool is_head = false;        // the size is told, and no content sent
    bool is_chunked = false;
    bool says_length = true;
    // After so many bytes of the body the connection ends, or nothing more comes until the server
    // goes or the client leaves.
    std::optional<size_t> break_after = {}, stall_after = {};
    // So many milliseconds between pieces of 1 KiB.
    int pause_ms = 0;

    void Become(int new_status, std::map<std::string, std::string> new_fields = {}) {
      status = new_status;
      fields = std::move(new_fields);
      content = nullptr;
      begin = size = 0;
    }
    void Become(int new_status, const std::string& body) {
      Become(new_status);
      content = std::make_shared<const std::string>(body);
      size = body.size();
    }
  };

  // Speaks TLS when it is given a certificate, which must outlive it.
  explicit HttpServer(const TestCertificate* certificate = nullptr);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  // http[s]://HOST:PORT + path.
  std::string Url(const std::string& path, const std::string& host = "127.0.0.1") const;

  // `path` as it stands in requests: encoded. A path that nothing was put under is 404.
  void Put(const std::string& path, File file);
  // Called with each reply before it is sent.
  void OnReply(std::function<void(const Request&, Reply*)> edit);
  // All requests so far, in order of arrival.
  std::vector<Request> requests() const;

 private:
  class Connection;

  void Accept();
  void Serve(int socket);
  Reply MakeReply(const Request& request);
  static void Send(Connection* connection, const Reply& reply);

  const TestCertificate* const certificate_;
  int listener_ = -1, port_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<File, std::shared_ptr<const std::string>>> files_;
  std::function<void(const Request&, Reply*)> edit_;
  std::vector<Request> requests_;
  std::set<int> connections_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HTTP_SERVER_H_
