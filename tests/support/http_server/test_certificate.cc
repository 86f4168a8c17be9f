#include "tests/support/http_server/test_certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <iostream>

namespace stockpot {
namespace {

void Require(bool ok) {
  if (ok) return;
  std::cerr << "test_certificate: OpenSSL failed" << std::endl;
  std::abort();
}

void AddExtension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  Require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestCertificate::TestCertificate(const std::string& names) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  Require(key != nullptr && certificate != nullptr);
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("stockpot test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_subject_alt_name, names);
  Require(X509_sign(certificate, key, EVP_sha256()) > 0);

  BIO* const text = BIO_new(BIO_s_mem());
  Require(PEM_write_bio_X509(text, certificate) == 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text, &bytes);
  pem_.assign(bytes, static_cast<size_t>(size));
  BIO_free(text);

  context_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  Require(SSL_CTX_use_certificate(context_.get(), certificate) == 1 &&
          SSL_CTX_use_PrivateKey(context_.get(), key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace stockpot
