// SHA-256 (FIPS 180-4, by OpenSSL) as lower-case hexadecimal: how contents and tasks are named.
// Thread safety: Sha256 is thread-compatible, the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_DIGEST_H_
#define STOCKPOT_SERVER_BASE_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace stockpot {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& Update(absl::string_view bytes);
  // Appends an 8-byte little-endian length before the bytes, so that a list of fields has one
  // reading.
  Sha256& UpdateField(absl::string_view bytes);
  // For a field that comes in parts: the length, which Update() of so many bytes is to follow.
  Sha256& UpdateFieldSize(uint64_t size);
  // 64 hexadecimal digits. The object may not be used after.
  std::string Finish();
  // The same as 32 bytes.
  std::string FinishAsBytes();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string Sha256Hex(absl::string_view bytes);
std::string Sha256Bytes(absl::string_view bytes);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_DIGEST_H_
