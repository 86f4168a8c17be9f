// How fast a checkpoint is read that lies in the system's cache, beside the shortest ways to read
// the same bytes. By hand:
//
//   read_speed SCRATCH_FOLDER [--mib N] [--rounds N]
//
// Makes a safetensors file of N MiB (1,024) in SCRATCH_FOLDER and keeps it. In each round, one
// after the other and in turning order, on one thread each but for the sums, which take every core:
//
//   read     the file with read(), 4 MiB at a time      copy     OpenCheckpoint() and Copy() of
//   each
//                                                                tensor, as `stockpot merge` reads
//   map      memcpy() from a mapping of the file        views    OpenCheckpoint(), Read(), memcpy()
//   sha256   SHA-256 of each MiB of the mapping         summary  OpenCheckpoint(),
//   SummarizeContent()
//
// Prints a line of JSON for each round: the seconds of each, and those of processors (user and
// system, all threads), which a machine that is busy otherwise changes little.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/mapped_file.h"
#include "server/base/parallel.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "server/worker/checkpoint/state_dict.h"
#include "tests/bench/bench.h"

namespace stockpot {
namespace {

constexpr size_t kPiece = 4 << 20;
constexpr int kTensors = 64;

struct Flags {
  std::string scratch;
  int mib = 1024, rounds = 9;
};

std::string MakeCheckpoint(const Flags& flags) {
  const std::string path = absl::StrCat(flags.scratch, "/", flags.mib, ".safetensors");
  if (std::filesystem::exists(path)) return path;
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < kTensors; ++i) {
    tensors.push_back(
        {absl::StrCat("w", 100 + i), DType::kFloat32, {(int64_t{flags.mib} << 18) / kTensors}});
  }
  std::vector<float> numbers(static_cast<size_t>(tensors[0].element_count()));
  std::minstd_rand random(1);
  for (float& number : numbers) number = static_cast<float>(random() % 2048) / 1024 - 1;
  const auto writer = OrDie(SafetensorsWriter::Create(path, tensors, {}));
  for (int i = 0; i < kTensors; ++i) {
    Require(writer->Append({reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4}));
  }
  OrDie(writer->Finish());
  return path;
}

void PlainRead(const std::string& path, std::vector<char>* buffer) {
  const int fd = open(path.c_str(), O_RDONLY);
  ssize_t count = 0;
  do count = read(fd, buffer->data(), buffer->size());
  while (count > 0);
  if (count < 0 || close(fd) != 0) Require(absl::InternalError("read"));
}

void CopyBytes(absl::string_view bytes, std::vector<char>* buffer) {
  for (size_t begin = 0; begin < bytes.size(); begin += kPiece) {
    const absl::string_view piece = bytes.substr(begin, kPiece);
    std::memcpy(buffer->data(), piece.data(), piece.size());
  }
}

void CopyTensors(const std::string& path, std::vector<char>* buffer) {
  const auto state_dict = OrDie(OpenCheckpoint(path, {}));
  for (size_t i = 0; i < state_dict->tensors().size(); ++i) {
    const size_t size = state_dict->tensors()[i].byte_count();
    for (size_t begin = 0; begin < size; begin += kPiece) {
      const size_t count = std::min(kPiece, size - begin);
      Require(state_dict->Copy(i, begin, {buffer->data(), count}));
    }
  }
}

void CopyViews(const std::string& path, std::vector<char>* buffer) {
  const auto state_dict = OrDie(OpenCheckpoint(path, {}));
  std::vector<char> scratch;
  for (size_t i = 0; i < state_dict->tensors().size(); ++i) {
    const auto elements = OrDie(state_dict->Read(i, &scratch));
    CopyBytes({elements.data(), elements.size()}, buffer);
  }
}

void SumBlocks(const std::string& path) {
  constexpr size_t kBlock = 1 << 20;
  const auto file = OrDie(MappedFile::Open(path));
  const absl::string_view bytes = file->bytes();
  Require(ForEachInParallel((bytes.size() + kBlock - 1) / kBlock, [&](size_t i) {
    Sha256Bytes(bytes.substr(i * kBlock, kBlock));
    return absl::OkStatus();
  }));
}

int Run(const Flags& flags) {
  std::filesystem::create_directories(flags.scratch);
  const std::string path = MakeCheckpoint(flags);
  std::vector<char> buffer(kPiece, 1);
  Ways ways = {
      {"read", [&] { PlainRead(path, &buffer); }},
      {"copy", [&] { CopyTensors(path, &buffer); }},
      {"map", [&] { CopyBytes(OrDie(MappedFile::Open(path))->bytes(), &buffer); }},
      {"views", [&] { CopyViews(path, &buffer); }},
      {"sha256", [&] { SumBlocks(path); }},
      {"summary", [&] { OrDie(SummarizeContent(*OrDie(OpenCheckpoint(path, {})))); }},
  };
  for (int round = 0; round <= flags.rounds; ++round) {
    nlohmann::ordered_json line = {{"round", round}, {"mib", flags.mib}, {"threads", CoreCount()}};
    TimeEach(ways, &line);
    std::rotate(ways.begin(), ways.begin() + 1, ways.end());
    if (round > 0) std::cout << line.dump() << std::endl;  // the first one reads from the disk
  }
  return 0;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  stockpot::Flags flags;
  CLI::App app("How fast a checkpoint is read from the system's cache");
  app.add_option("scratch_folder", flags.scratch)->required();
  app.add_option("--mib", flags.mib, "Of the file")->check(CLI::PositiveNumber);
  app.add_option("--rounds", flags.rounds)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return stockpot::Run(flags);
}
