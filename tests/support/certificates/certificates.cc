#include "tests/support/certificates/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>
#include <iostream>

namespace stockpot {
namespace {

void Require(bool ok, const char* what) {
  if (ok) return;
  std::cerr << "certificates: " << what << " failed\n";
  std::abort();
}

template <typename Write>
std::string Pem(const Write& write) {
  BIO* const memory = BIO_new(BIO_s_mem());
  Require(write(memory) == 1, "writing PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(memory);
  return text;
}

std::string CertificatePem(X509* certificate) {
  return Pem([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

void AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  Require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "an extension");
  X509_EXTENSION_free(extension);
}

X509* MakeCertificate(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                      int valid_hours) {
  static std::atomic<long> serial = 1;
  constexpr long kHour = 3600;
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate),
                  (valid_hours < 0 ? 2 * valid_hours : -1) * kHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate), valid_hours * kHour);
  X509_set_pubkey(certificate, key);
  X509_NAME* const subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* const signer = issuer == nullptr ? certificate : issuer;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  if (issuer == nullptr) {
    AddExtension(certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
    AddExtension(certificate, signer, NID_key_usage, "critical,keyCertSign");
  } else {
    AddExtension(certificate, signer, NID_subject_alt_name, "DNS:" + name + ",IP:127.0.0.1");
  }
  Require(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "signing");
  return certificate;
}

}  // namespace

struct TestAuthority::Keys {
  EVP_PKEY* key;
  X509* certificate;
};

TestAuthority::TestAuthority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key = EVP_EC_gen("P-256");
  Require(keys_->key != nullptr, "making a key");
  keys_->certificate = MakeCertificate(name, keys_->key, nullptr, keys_->key, 24);
  certificate_ = CertificatePem(keys_->certificate);
}

TestAuthority::~TestAuthority() {
  X509_free(keys_->certificate);
  EVP_PKEY_free(keys_->key);
}

PemPair TestAuthority::Sign(const std::string& name, int valid_hours) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = MakeCertificate(name, key, keys_->certificate, keys_->key, valid_hours);
  const PemPair pair = {CertificatePem(certificate), Pem([&](BIO* out) {
                          return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr,
                                                          nullptr);
                        })};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

}  // namespace stockpot
