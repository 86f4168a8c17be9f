// Certificates for tests, made as they are needed. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_CERTIFICATES_CERTIFICATES_H_
#define STOCKPOT_TESTS_SUPPORT_CERTIFICATES_CERTIFICATES_H_

#include <memory>
#include <string>

namespace stockpot {

struct PemPair {
  std::string certificate, key;
};

// A certificate authority with a key of its own. Ends the program where OpenSSL fails.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  ~TestAuthority();

  const std::string& certificate() const { return certificate_; }  // PEM

  // Signed by this authority, for the DNS name `name` and 127.0.0.1, valid from an hour ago for so
  // many hours; negative: no longer.
  PemPair Sign(const std::string& name, int valid_hours = 1) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string certificate_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_CERTIFICATES_CERTIFICATES_H_
