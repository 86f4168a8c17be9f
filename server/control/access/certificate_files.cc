#include "server/control/access/certificate_files.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxPemBytes = 4 << 20;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Text = std::unique_ptr<BIO, Freed<BIO_free>>;

absl::Status Wrong(absl::string_view flag, const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(flag, "=", path, ": ", what));
}

absl::StatusOr<std::string> ReadPem(absl::string_view flag, const std::string& path) {
  absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxPemBytes);
  if (!text.ok()) return Wrong(flag, path, text.status().message());
  return text;
}

absl::StatusOr<Certificate> ReadCertificate(absl::string_view flag, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(flag, path));
  const Text text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return Wrong(flag, path, "holds no certificate in PEM");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return Wrong(flag, path, "the certificate is no longer valid");
  }
  return certificate;
}

}  // namespace

absl::Status CheckCertificateFiles(const CertificateFiles& files) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("--tls_certificate_file and --tls_key_file go together");
  }
  if (files.empty()) {
    if (files.client_ca.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("--tls_client_ca_file needs --tls_certificate_file");
  }
  ASSIGN_OR_RETURN(const Certificate certificate,
                   ReadCertificate("--tls_certificate_file", files.certificate));
  ASSIGN_OR_RETURN(const std::string pem, ReadPem("--tls_key_file", files.key));
  const Text text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key key(PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    return Wrong("--tls_key_file", files.key, "holds no private key in PEM without a password");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Wrong("--tls_key_file", files.key, "is not the key of --tls_certificate_file");
  }
  if (files.client_ca.empty()) return absl::OkStatus();
  return ReadCertificate("--tls_client_ca_file", files.client_ca).status();
}

}  // namespace stockpot
