// A server that speaks as much of S3 as reading takes: HEAD and GET of objects with ranges,
// listings in pages, errors as XML; and every fault that a test asks for. Real servers have tests
// of their own (tests/e2e/s3_test.cc). Source: the S3 API reference, HeadObject, GetObject,
// ListObjectsV2. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_S3_SERVER_H_
#define STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_S3_SERVER_H_

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tests/support/http_server/http_server.h"

namespace stockpot {

class S3Server {
 public:
  // Speaks TLS when it is given a certificate, which must outlive it.
  explicit S3Server(const TestCertificate* certificate = nullptr);

  // Faults of `http` are for OnFault(), below.
  HttpServer& http() { return http_; }
  std::string endpoint(const std::string& host = "127.0.0.1") const { return http_.Url("", host); }

  // An object, in place of one of the same key. Buckets come of themselves.
  void Put(const std::string& bucket, const std::string& key, const std::string& content);

  // Called with each reply after it was made.
  void OnFault(std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault);
  // Only requests signed with this access key are answered, where it is not "".
  void set_access_key(const std::string& access_key) { access_key_ = access_key; }
  // Keys in a page of a listing.
  void set_page_size(size_t size) { page_size_ = size; }

 private:
  struct Object {
    std::string entity_tag;
    size_t size = 0;
  };

  void Edit(const HttpServer::Request& request, HttpServer::Reply* reply);
  void List(const std::string& bucket, const std::string& query, HttpServer::Reply* reply) const;

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, Object>> buckets_;
  std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault_;
  std::string access_key_;
  size_t page_size_ = 1000;
  HttpServer http_;  // its threads end first
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_S3_SERVER_H_
