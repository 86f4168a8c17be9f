// A tar file as bytes. Its sums would stop nearly every change of a byte, so that those of blocks
// that bear the mark are set right here first.
#include <cstdio>
#include <set>
#include <string>

#include "server/worker/dataset/tar_reader.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {
namespace {

constexpr size_t kBlock = 512;

std::string WithSums(std::string file) {
  for (size_t begin = 0; begin + kBlock <= file.size(); begin += kBlock) {
    if (file.compare(begin + 257, 5, "ustar") != 0) continue;
    file.replace(begin + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(file[begin + i]);
    char digits[8];
    std::snprintf(digits, sizeof(digits), "%06o", sum);
    file.replace(begin + 148, 7, digits, 7);
  }
  return file;
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file = stockpot::WithSums(std::string(stockpot::AsText(data, size)));
  const auto members = stockpot::ListTar(file, {});
  if (!members.ok()) return 0;
  uint64_t end = 0;
  for (const stockpot::TarMember& member : *members) {
    stockpot::Require(!member.name.empty(), "a member has a name");
    stockpot::Require(member.offset >= end, "members come one after the other");
    stockpot::Require(member.offset <= file.size() && member.size <= file.size() - member.offset,
                      "a member lies in its file");
    end = member.offset + member.size;
  }
  return 0;
}
