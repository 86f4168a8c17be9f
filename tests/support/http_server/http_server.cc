#include "tests/support/http_server/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace stockpot {
namespace {

[[noreturn]] void Fatal(const char* what) {
  std::cerr << "http_server: " << what << std::endl;
  std::abort();
}

HttpServer::Request ParseRequest(const std::string& head) {
  HttpServer::Request request;
  const std::vector<std::string> lines = absl::StrSplit(head, "\r\n");
  const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
  request.method = words[0];
  if (words.size() > 1) request.target = words[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request.fields[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  return request;
}

// Makes a whole file's reply that of a range, where the request asks for one that holds.
void ApplyRange(const HttpServer::Request& request, const std::string& entity_tag,
                HttpServer::Reply* reply) {
  const auto range = request.fields.find("range");
  const auto if_range = request.fields.find("if-range");
  if (range == request.fields.end()) return;
  if (if_range != request.fields.end() && if_range->second != entity_tag) return;
  const std::vector<absl::string_view> ends =
      absl::StrSplit(absl::StripPrefix(range->second, "bytes="), '-');
  size_t first = 0, last = 0;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends[1], &last)) {
    return;
  }
  const size_t size = reply->content->size();
  if (first >= size) {
    reply->Become(416, {{"Content-Range", absl::StrCat("bytes */", size)}});
    return;
  }
  last = std::min(last, size - 1);
  reply->status = 206;
  reply->begin = first;
  reply->size = last - first + 1;
  reply->fields["Content-Range"] = absl::StrCat("bytes ", first, "-", last, "/", size);
}

}  // namespace

// With or without TLS.
class HttpServer::Connection {
 public:
  Connection(int socket, const TestCertificate* certificate) : socket_(socket) {
    if (certificate == nullptr) return;
    ssl_.reset(SSL_new(certificate->context()));
    SSL_set_fd(ssl_.get(), socket);
  }

  bool Begin() { return ssl_ == nullptr || SSL_accept(ssl_.get()) == 1; }

  // The head of the next request; "" when the client has left.
  std::string ReadHead() {
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      char piece[4096];
      const ssize_t count = Receive(piece, sizeof(piece));
      if (count <= 0) return "";
      buffer_.append(piece, static_cast<size_t>(count));
    }
    std::string head = buffer_.substr(0, end);
    buffer_.erase(0, end + 4);
    return head;
  }

  bool SendAll(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent =
          ssl_ == nullptr ? send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                          : SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  void WaitUntilClientLeaves() {
    char byte;
    while (Receive(&byte, 1) > 0) continue;
  }

 private:
  ssize_t Receive(char* out, size_t size) {
    return ssl_ == nullptr ? recv(socket_, out, size, 0)
                           : SSL_read(ssl_.get(), out, static_cast<int>(size));
  }

  const int socket_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, SSL_free};
  std::string buffer_;
};

HttpServer::HttpServer(const TestCertificate* certificate) : certificate_(certificate) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Fatal("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  for (std::thread& thread : threads_) thread.join();
}

std::string HttpServer::Url(const std::string& path, const std::string& host) const {
  return absl::StrCat(certificate_ == nullptr ? "http://" : "https://", host, ":", port_, path);
}

void HttpServer::Put(const std::string& path, File file) {
  std::lock_guard lock(mutex_);
  auto content = std::make_shared<const std::string>(std::move(file.content));
  files_[path] = {std::move(file), std::move(content)};
}

void HttpServer::OnReply(std::function<void(const Request&, Reply*)> edit) {
  std::lock_guard lock(mutex_);
  edit_ = std::move(edit);
}

std::vector<HttpServer::Request> HttpServer::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::Accept() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    std::lock_guard lock(mutex_);
    if (connection < 0 || stopping_) {
      if (connection >= 0) close(connection);
      return;
    }
    connections_.insert(connection);
    threads_.emplace_back([this, connection] { Serve(connection); });
  }
}

void HttpServer::Serve(int socket) {
  {
    Connection connection(socket, certificate_);
    bool goes_on = connection.Begin();
    while (goes_on) {
      const std::string head = connection.ReadHead();
      if (head.empty()) break;
      const Reply reply = MakeReply(ParseRequest(head));
      Send(&connection, reply);
      goes_on = !reply.break_after && !reply.stall_after && (reply.is_chunked || reply.says_length);
    }
  }
  std::lock_guard lock(mutex_);
  connections_.erase(socket);
  close(socket);
}

HttpServer::Reply HttpServer::MakeReply(const Request& request) {
  std::lock_guard lock(mutex_);
  requests_.push_back(request);
  Reply reply;
  reply.is_head = request.method == "HEAD";
  const auto found = files_.find(request.target.substr(0, request.target.find('?')));
  if (found == files_.end()) {
    reply.status = 404;
  } else {
    const auto& [file, content] = found->second;
    reply.fields = file.fields;
    if (!file.entity_tag.empty()) reply.fields["ETag"] = file.entity_tag;
    reply.content = content;
    reply.size = content->size();
    if (file.has_ranges) ApplyRange(request, file.entity_tag, &reply);
  }
  if (edit_) edit_(request, &reply);
  return reply;
}

void HttpServer::Send(Connection* connection, const Reply& reply) {
  std::string head = absl::StrCat("HTTP/1.1 ", reply.status, " Words\r\n");
  for (const auto& [name, value] : reply.fields) absl::StrAppend(&head, name, ": ", value, "\r\n");
  if (reply.is_chunked) {
    absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
  } else if (reply.says_length) {
    absl::StrAppend(&head, "Content-Length: ", reply.size, "\r\n");
  }
  if (!connection->SendAll(head + "\r\n") || reply.content == nullptr || reply.is_head) return;
  absl::string_view body = absl::string_view(*reply.content).substr(reply.begin, reply.size);
  const size_t end = std::min({reply.break_after.value_or(body.size()),
                               reply.stall_after.value_or(body.size()), body.size()});
  body = body.substr(0, end);
  while (!body.empty()) {
    const absl::string_view piece = body.substr(0, reply.pause_ms > 0 ? 1 << 10 : 256 << 10);
    body.remove_prefix(piece.size());
    const std::string chunk =
        reply.is_chunked ? absl::StrCat(absl::Hex(piece.size()), "\r\n", piece, "\r\n") : "";
    if (!connection->SendAll(reply.is_chunked ? absl::string_view(chunk) : piece)) return;
    if (reply.pause_ms > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(reply.pause_ms));
    }
  }
  if (reply.stall_after.has_value()) return connection->WaitUntilClientLeaves();
  if (reply.is_chunked && !reply.break_after.has_value()) connection->SendAll("0\r\n\r\n");
}

}  // namespace stockpot
