// Builds zip archives, sound ones and ones with a single fault, for the tests of the reader.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_ZIP_BUILDER_H_
#define STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_ZIP_BUILDER_H_

#include <isa-l/crc.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace stockpot {

// What is unusual about an entry. All but Zip64Sizes must be refused.
struct ZipFaults {
  uint16_t flags = 0;
  uint16_t method = 0;
  bool zip64_sizes = false;          // sizes in the zip64 field
  const char* local_name = nullptr;  // when set, instead of the name
  uint32_t local_size_more = 0;      // added to the size in the local header
  uint32_t crc_flip = 0;             // of both headers
  uint32_t offset_more = 0;          // added to the offset in the central header

  static ZipFaults Flags(uint16_t flags) { return With(&ZipFaults::flags, flags); }
  static ZipFaults Method(uint16_t method) { return With(&ZipFaults::method, method); }
  static ZipFaults Zip64Sizes() { return With(&ZipFaults::zip64_sizes, true); }
  static ZipFaults LocalName(const char* name) { return With(&ZipFaults::local_name, name); }
  static ZipFaults LocalSizeMore(uint32_t more) { return With(&ZipFaults::local_size_more, more); }
  static ZipFaults CrcFlip(uint32_t bits) { return With(&ZipFaults::crc_flip, bits); }
  static ZipFaults OffsetMore(uint32_t more) { return With(&ZipFaults::offset_more, more); }

 private:
  template <typename Value>
  static ZipFaults With(Value ZipFaults::*member, Value value) {
    ZipFaults faults;
    faults.*member = value;
    return faults;
  }
};

class ZipBuilder {
 public:
  ZipBuilder& Add(const std::string& name, const std::string& data, ZipFaults faults = {}) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
    const uint32_t crc = crc32_gzip_refl(0, bytes, data.size()) ^ faults.crc_flip;
    const auto size = static_cast<uint32_t>(data.size());
    const uint32_t size_field = faults.zip64_sizes ? 0xFFFFFFFF : size;
    const std::string extra =
        faults.zip64_sizes ? absl::StrCat(U16(1), U16(16), U64(size), U64(size)) : "";
    const std::string local_name = faults.local_name == nullptr ? name : faults.local_name;
    const std::string common =
        absl::StrCat(U16(faults.flags), U16(faults.method), U32(0), U32(crc), U32(size_field));

    absl::StrAppend(&directory_, "PK\x01\x02", U16(45), U16(45), common, U32(size_field),
                    U16(name.size()), U16(extra.size()), std::string(10, '\0'),
                    U32(static_cast<uint32_t>(body_.size()) + faults.offset_more), name, extra);
    absl::StrAppend(&body_, "PK\x03\x04", U16(45), common, U32(size_field + faults.local_size_more),
                    U16(local_name.size()), U16(extra.size()), local_name, extra, data);
    ++count_;
    return *this;
  }

  std::string Build(size_t count_more = 0) const {
    const std::string count = U16(count_ + count_more);
    return absl::StrCat(body_, directory_, "PK\x05\x06", U32(0), count, count,
                        U32(static_cast<uint32_t>(directory_.size())),
                        U32(static_cast<uint32_t>(body_.size())), U16(0));
  }

  // Little-endian.
  template <typename Value>
  static std::string Number(Value value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
  }

 private:
  static std::string U16(size_t value) { return Number(static_cast<uint16_t>(value)); }
  static std::string U32(uint32_t value) { return Number(value); }
  static std::string U64(uint64_t value) { return Number(value); }

  std::string body_, directory_;
  size_t count_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_CHECKPOINT_ZIP_BUILDER_H_
