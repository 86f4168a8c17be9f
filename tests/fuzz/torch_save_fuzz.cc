// A torch.save file. Its sums would stop nearly every change of a byte, so the input is what they
// protect, and the archive is put around it here: the pickle, and after the last ".PK" in it, if
// any, what every storage holds. An input that begins like an archive is taken as a whole file.
#include "server/base/mapped_file.h"
#include "server/worker/checkpoint/torch_save_reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_all.h"
#include "tests/server/worker/checkpoint/zip_builder.h"

namespace stockpot {
namespace {

constexpr int kStorages = 8;

std::string Archive(absl::string_view input) {
  constexpr absl::string_view kEndOfPickle = ".PK";
  const size_t end = input.rfind(kEndOfPickle);
  const absl::string_view pickle = input.substr(0, end == input.npos ? end : end + 1);
  std::string storage(256, '\1');
  if (end != input.npos) storage = std::string(input.substr(end + kEndOfPickle.size()));
  ZipBuilder archive;
  archive.Add("archive/data.pkl", std::string(pickle));
  for (int i = 0; i < kStorages; ++i) archive.Add("archive/data/" + std::to_string(i), storage);
  return archive.Add("archive/version", "3\n").Build();
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input = stockpot::AsText(data, size);
  const stockpot::MemoryFile memory(stockpot::LooksLikeTorchSave(input) ? std::string(input)
                                                                        : stockpot::Archive(input));
  auto file = stockpot::MappedFile::Open(memory.path());
  stockpot::Require(file.ok(), "a file in memory can be mapped");
  const auto opened = stockpot::OpenTorchSave(*std::move(file), {});
  if (opened.ok()) stockpot::ReadAll(*opened->state_dict);
  return 0;
}
