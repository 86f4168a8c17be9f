// A server that speaks as the Hugging Face hub does: repositories of commits that branches name,
// files behind redirects to signed addresses, commits and SHA-256 sums in the redirects' fields.
// Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HUB_SERVER_H_
#define STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HUB_SERVER_H_

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tests/support/http_server/http_server.h"

namespace stockpot {

class HubServer {
 public:
  HubServer();

  // Faults of `http` are for OnFault(), below.
  HttpServer& http() { return http_; }
  std::string endpoint() const { return http_.Url("/hub"); }

  // `repository` is "org/name" or "datasets/org/name"; `branch` is at `commit` (40 digits) from now
  // on. Files of an earlier commit stay under theirs.
  void Commit(const std::string& repository, const std::string& branch, const std::string& commit,
              const std::map<std::string, std::string>& files);

  // Called with each reply after it was made.
  void OnFault(std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault);
  // Whether redirects tell the commit; else only the API does.
  void set_tells_commit(bool tells) { tells_commit_ = tells; }
  // Files in a page of a listing.
  void set_page_size(size_t size) { page_size_ = size; }
  // Only requests with it are answered, where it is not "".
  void set_token(const std::string& token) { token_ = token; }

 private:
  void Edit(const HttpServer::Request& request, HttpServer::Reply* reply);
  // `place` is REPOSITORY@COMMIT[/FOLDER], `target` the whole request's.
  void List(const std::string& place, const std::string& target, HttpServer::Reply* reply) const;
  std::string CommitOf(const std::string& repository, const std::string& revision) const;

  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::string> branches_;  // to commits
  std::map<std::string, std::string> sums_;  // by repository@commit/path: SHA-256
  std::map<std::string, size_t> sizes_;      // by the same
  std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault_;
  bool tells_commit_ = true;
  size_t page_size_ = 1000;
  std::string token_;
  HttpServer http_;  // its threads end first
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_HUB_SERVER_H_
