// A zip archive as bytes.
#include "server/worker/checkpoint/zip_archive.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes = stockpot::AsText(data, size);
  const auto archive = stockpot::ZipArchive::Open(bytes, 1000);
  if (!archive.ok()) return 0;
  for (const stockpot::ZipEntry& entry : archive->entries()) {
    stockpot::Require(archive->Find(entry.name) == &entry, "an entry is found by its name");
    stockpot::Require(entry.data.data() >= bytes.data() &&
                          entry.data.data() + entry.data.size() <= bytes.data() + bytes.size(),
                      "an entry lies in the archive");
    // Reads its bytes; whether the sum is right is all the same here.
    (void)stockpot::CheckSum(entry);
    constexpr uint64_t kMost = 1 << 20;
    const auto inflated = stockpot::Inflate(entry, kMost);
    stockpot::Require(!inflated.ok() || inflated->size() <= kMost, "no bomb goes off");
  }
  return 0;
}
