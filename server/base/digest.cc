#include "server/base/digest.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"

namespace stockpot {
namespace {

// OpenSSL fails here only when memory is gone or the digest is compiled out: nothing can go on
// then.
void Check(int result) {
  if (result != 1) std::abort();
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  Check(context_ == nullptr ? 0 : EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::Update(absl::string_view bytes) {
  Check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
  return *this;
}

Sha256& Sha256::UpdateField(absl::string_view bytes) {
  return UpdateFieldSize(bytes.size()).Update(bytes);
}

Sha256& Sha256::UpdateFieldSize(uint64_t size) {
  char encoded[8];
  for (int i = 0; i < 8; ++i) encoded[i] = static_cast<char>(size >> (8 * i));
  return Update({encoded, sizeof(encoded)});
}

std::string Sha256::Finish() { return absl::BytesToHexString(FinishAsBytes()); }

std::string Sha256::FinishAsBytes() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Check(EVP_DigestFinal_ex(context_.get(), digest, &size));
  return {reinterpret_cast<const char*>(digest), size};
}

std::string Sha256Hex(absl::string_view bytes) { return Sha256().Update(bytes).Finish(); }
std::string Sha256Bytes(absl::string_view bytes) { return Sha256().Update(bytes).FinishAsBytes(); }

}  // namespace stockpot
