// The PEM files of TLS, looked at before anybody connects: gRPC itself says nothing of what is
// wrong with them. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_ACCESS_CERTIFICATE_FILES_H_
#define STOCKPOT_SERVER_CONTROL_ACCESS_CERTIFICATE_FILES_H_

#include <string>

#include "absl/status/status.h"

namespace stockpot {

struct CertificateFiles {
  std::string certificate, key;  // of the server, the chain with its own certificate first
  std::string client_ca;         // signers of clients' certificates; "": clients show none
  bool client_certificate_optional = false;  // else a connection without one is refused

  bool empty() const { return certificate.empty(); }
};

// Errors: INVALID_ARGUMENT, naming the flag: files that cannot be read or are no PEM, a key that is
// another certificate's, a certificate that is no longer valid.
absl::Status CheckCertificateFiles(const CertificateFiles& files);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_ACCESS_CERTIFICATE_FILES_H_
