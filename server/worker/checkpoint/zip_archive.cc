#include "server/worker/checkpoint/zip_archive.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/little_endian.h"

namespace stockpot {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDataDescriptor = 0x08074b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr uint32_t kEndRecord64 = 0x06064b50;
constexpr uint32_t kEndLocator64 = 0x07064b50;
constexpr size_t kLocalHeaderSize = 30;
constexpr size_t kCentralHeaderSize = 46;
constexpr size_t kEndRecordSize = 22;
constexpr size_t kEndRecord64Size = 56;
constexpr size_t kEndLocator64Size = 20;
constexpr uint16_t kFlagEncrypted = 1 << 0;
constexpr uint16_t kFlagDescriptor = 1 << 3;  // sizes and sum follow the data
constexpr uint16_t kZip64Field = 0x0001;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the value is in the zip64 field

uint16_t U16(absl::string_view bytes, size_t offset) {
  return LoadLittleEndian<uint16_t>(bytes, offset);
}
uint32_t U32(absl::string_view bytes, size_t offset) {
  return LoadLittleEndian<uint32_t>(bytes, offset);
}
uint64_t U64(absl::string_view bytes, size_t offset) {
  return LoadLittleEndian<uint64_t>(bytes, offset);
}

absl::Status BadEntry(absl::string_view name, absl::string_view message) {
  return InvalidCheckpoint(absl::StrCat("zip entry ", Quote(name), " ", message));
}

struct Directory {
  uint64_t entry_count;
  uint64_t offset;
  uint64_t size;
};

// The central directory ends exactly where the first end record begins.
absl::StatusOr<Directory> CheckDirectory(const Directory& directory, uint64_t end) {
  if (directory.offset > end || directory.size != end - directory.offset) {
    return InvalidCheckpoint("the zip directory does not end at the zip end record");
  }
  return directory;
}

absl::StatusOr<Directory> FindDirectory(absl::string_view bytes) {
  if (bytes.size() < kEndRecordSize || U32(bytes, bytes.size() - kEndRecordSize) != kEndRecord ||
      U16(bytes, bytes.size() - 2) != 0) {
    return TruncatedCheckpoint("the file does not end with a zip end record: it was cut short");
  }
  const size_t end_offset = bytes.size() - kEndRecordSize;
  const absl::string_view end = bytes.substr(end_offset);
  if (U16(end, 4) != 0 || U16(end, 6) != 0 || U16(end, 8) != U16(end, 10)) {
    return InvalidCheckpoint("the zip archive is split over several disks");
  }
  const Directory small{U16(end, 10), U32(end, 16), U32(end, 12)};
  if (end_offset < kEndLocator64Size ||
      U32(bytes, end_offset - kEndLocator64Size) != kEndLocator64) {
    return CheckDirectory(small, end_offset);
  }
  const size_t locator_offset = end_offset - kEndLocator64Size;
  const uint64_t end64_offset = U64(bytes, locator_offset + 8);
  if (locator_offset < kEndRecord64Size || end64_offset != locator_offset - kEndRecord64Size ||
      U32(bytes, end64_offset) != kEndRecord64 || U64(bytes, end64_offset + 4) != 44) {
    return InvalidCheckpoint("the zip64 end record is not where its locator says");
  }
  const absl::string_view end64 = bytes.substr(end64_offset, kEndRecord64Size);
  const Directory large{U64(end64, 32), U64(end64, 48), U64(end64, 40)};
  const bool agree = U64(end64, 24) == large.entry_count &&
                     (small.entry_count == 0xFFFF || small.entry_count == large.entry_count) &&
                     (small.offset == kIn64 || small.offset == large.offset) &&
                     (small.size == kIn64 || small.size == large.size);
  if (!agree) return InvalidCheckpoint("the zip end record and the zip64 end record differ");
  return CheckDirectory(large, end64_offset);
}

// Sizes and offset of an entry; those that are kIn64 come from the extra field, in this order.
struct Extent {
  uint64_t size;
  uint64_t stored_size;
  uint64_t offset;
};

bool ReadZip64(absl::string_view extra, Extent* extent) {
  while (extra.size() >= 4) {
    const size_t size = U16(extra, 2);
    if (extra.size() - 4 < size) return false;
    absl::string_view field = extra.substr(4, size);
    if (U16(extra, 0) == kZip64Field) {
      for (uint64_t* value : {&extent->size, &extent->stored_size, &extent->offset}) {
        if (*value != kIn64) continue;
        if (field.size() < 8) return false;
        *value = U64(field, 0);
        field.remove_prefix(8);
      }
      return true;
    }
    extra.remove_prefix(4 + size);
  }
  return extent->size != kIn64 && extent->stored_size != kIn64 && extent->offset != kIn64;
}

struct CentralHeader {
  absl::string_view name;
  uint16_t flags;
  uint16_t method;  // 0: stored
  uint32_t crc32;
  Extent extent;
};

// Takes one header from the front of `directory`.
absl::StatusOr<CentralHeader> TakeCentralHeader(absl::string_view* directory) {
  const absl::string_view header = *directory;
  if (header.size() < kCentralHeaderSize || U32(header, 0) != kCentralHeader) {
    return InvalidCheckpoint("the zip directory is malformed");
  }
  const size_t name_size = U16(header, 28), extra_size = U16(header, 30);
  const size_t total = kCentralHeaderSize + name_size + extra_size + U16(header, 32);
  if (header.size() < total) return InvalidCheckpoint("the zip directory is malformed");
  CentralHeader entry{header.substr(kCentralHeaderSize, name_size),
                      U16(header, 8),
                      U16(header, 10),
                      U32(header, 16),
                      {U32(header, 24), U32(header, 20), U32(header, 42)}};
  if ((entry.flags & kFlagEncrypted) != 0) return BadEntry(entry.name, "is encrypted");
  if (!ReadZip64(header.substr(kCentralHeaderSize + name_size, extra_size), &entry.extent) ||
      (entry.method == 0 && entry.extent.size != entry.extent.stored_size)) {
    return BadEntry(entry.name, "has a malformed size");
  }
  directory->remove_prefix(total);
  return entry;
}

struct LocatedEntry {
  ZipEntry entry;
  uint64_t begin;  // of the local header
  uint64_t end;    // of the data
};

bool DescriptorAgrees(absl::string_view after_data, const CentralHeader& central) {
  return after_data.size() >= 12 && U32(after_data, 0) == kDataDescriptor &&
         U32(after_data, 4) == central.crc32 &&
         U32(after_data, 8) == static_cast<uint32_t>(central.extent.stored_size);
}

// `local` begins with the local header and reaches past the data.
bool LocalHeaderAgrees(absl::string_view local, size_t header_size, const CentralHeader& central) {
  const size_t name_size = U16(local, 26);
  if (U32(local, 0) != kLocalHeader || U16(local, 6) != central.flags ||
      U16(local, 8) != central.method ||
      local.substr(kLocalHeaderSize, name_size) != central.name) {
    return false;
  }
  const uint32_t sum = U32(local, 14);
  Extent extent{U32(local, 22), U32(local, 18), 0};
  if ((central.flags & kFlagDescriptor) != 0 && sum == 0 && extent.size == 0 &&
      extent.stored_size == 0) {
    return DescriptorAgrees(local.substr(header_size + central.extent.stored_size), central);
  }
  const size_t extra_begin = kLocalHeaderSize + name_size;
  return ReadZip64(local.substr(extra_begin, header_size - extra_begin), &extent) &&
         sum == central.crc32 && extent.size == central.extent.size &&
         extent.stored_size == central.extent.stored_size;
}

// `before_directory` is the archive up to its central directory.
absl::StatusOr<LocatedEntry> Locate(absl::string_view before_directory,
                                    const CentralHeader& central) {
  const uint64_t begin = central.extent.offset, size = central.extent.stored_size;
  if (begin > before_directory.size() || before_directory.size() - begin < kLocalHeaderSize) {
    return BadEntry(central.name, "lies outside the archive");
  }
  const absl::string_view local = before_directory.substr(begin);
  const size_t header_size = kLocalHeaderSize + U16(local, 26) + U16(local, 28);
  if (local.size() < header_size || local.size() - header_size < size) {
    return BadEntry(central.name, "lies outside the archive");
  }
  if (!LocalHeaderAgrees(local, header_size, central)) {
    return BadEntry(central.name, "has a local header that differs from the zip directory");
  }
  const ZipEntry entry{central.name,        local.substr(header_size, size),
                       central.crc32,       central.method != 0,
                       central.method == 8, central.extent.size};
  return LocatedEntry{entry, begin, begin + header_size + size};
}

absl::Status CheckDisjoint(std::vector<LocatedEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].begin < entries[i - 1].end) {
      return BadEntry(entries[i].entry.name, "overlaps another one");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(absl::string_view bytes, uint64_t max_entries) {
  ASSIGN_OR_RETURN(const Directory found, FindDirectory(bytes));
  if (found.entry_count > max_entries) {
    return InvalidCheckpoint(absl::StrCat("the zip archive has ", found.entry_count,
                                          " entries; at most ", max_entries, " are read"));
  }
  absl::string_view directory = bytes.substr(found.offset, found.size);
  std::vector<LocatedEntry> located;
  ZipArchive archive;
  for (uint64_t i = 0; i < found.entry_count; ++i) {
    ASSIGN_OR_RETURN(const CentralHeader central, TakeCentralHeader(&directory));
    ASSIGN_OR_RETURN(LocatedEntry entry, Locate(bytes.substr(0, found.offset), central));
    if (!archive.by_name_.emplace(central.name, archive.entries_.size()).second) {
      return BadEntry(central.name, "comes twice");
    }
    archive.entries_.push_back(entry.entry);
    located.push_back(entry);
  }
  if (!directory.empty()) return InvalidCheckpoint("the zip directory is malformed");
  RETURN_IF_ERROR(CheckDisjoint(std::move(located)));
  return archive;
}

const ZipEntry* ZipArchive::Find(absl::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

absl::StatusOr<std::string> Inflate(const ZipEntry& entry, uint64_t max_bytes) {
  if (entry.size > max_bytes) {
    return BadEntry(entry.name,
                    absl::StrCat("has ", entry.size, " bytes; at most ", max_bytes, " are read"));
  }
  std::string bytes;
  if (!entry.compressed) {
    RETURN_IF_ERROR(CheckSum(entry));
    bytes.assign(entry.data.data(), entry.data.size());
    return bytes;
  }
  // ISA-L counts in 32 bits.
  constexpr uint64_t kMost = uint64_t{1} << 31;
  if (!entry.deflated || entry.size > kMost || entry.data.size() > kMost) {
    return BadEntry(entry.name, "is compressed in a way that is not read");
  }
  bytes.resize(entry.size);
  inflate_state state;
  isal_inflate_init(&state);
  state.crc_flag = ISAL_DEFLATE;
  // It is only read: the library's interface knows no const.
  state.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(entry.data.data()));
  state.avail_in = static_cast<uint32_t>(entry.data.size());
  state.next_out = reinterpret_cast<uint8_t*>(bytes.data());
  state.avail_out = static_cast<uint32_t>(bytes.size());
  const bool read = isal_inflate_stateless(&state) == ISAL_DECOMP_OK && state.avail_out == 0;
  const auto* text = reinterpret_cast<const unsigned char*>(bytes.data());
  if (!read || crc32_gzip_refl(0, text, bytes.size()) != entry.crc32) {
    return BadEntry(entry.name, "is not what its size and sum say: the file is damaged");
  }
  return bytes;
}

absl::Status CheckStored(const ZipEntry& entry) {
  if (!entry.compressed) return absl::OkStatus();
  return BadEntry(entry.name, "is compressed; torch.save stores entries uncompressed");
}

absl::Status CheckSum(const ZipEntry& entry,
                      const std::function<void(absl::string_view)>& done_reading) {
  uint32_t sum = 0;
  for (size_t begin = 0; begin < entry.data.size(); begin += kSumCheckPieceBytes) {
    const absl::string_view piece = entry.data.substr(begin, kSumCheckPieceBytes);
    sum = crc32_gzip_refl(sum, reinterpret_cast<const unsigned char*>(piece.data()), piece.size());
    done_reading(piece);
  }
  if (sum == entry.crc32) return absl::OkStatus();
  return BadEntry(entry.name,
                  "does not have its CRC32 sum: the file is damaged, or was saved after "
                  "torch.serialization.set_crc32_options(False)");
}

}  // namespace stockpot
