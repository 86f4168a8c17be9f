// A certificate that was just made and that nobody trusts but who is given it.
// Thread safety: immutable.
#ifndef STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_TEST_CERTIFICATE_H_
#define STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_TEST_CERTIFICATE_H_

#include <memory>
#include <string>

struct ssl_ctx_st;

namespace stockpot {

class TestCertificate {
 public:
  // `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
  explicit TestCertificate(const std::string& names);

  const std::string& pem() const { return pem_; }
  // What a server speaks TLS with.
  ssl_ctx_st* context() const { return context_.get(); }

 private:
  std::string pem_;
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_HTTP_SERVER_TEST_CERTIFICATE_H_
