// A TorchScript archive read as a checkpoint. An input is the module's code, then "\nPK", then the
// pickle; the archive is put around them here, so that its sums are right.
#include "server/base/mapped_file.h"
#include "server/worker/checkpoint/torch_save_reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_all.h"
#include "tests/server/worker/checkpoint/zip_builder.h"

namespace stockpot {
namespace {

std::string TorchScriptArchive(absl::string_view input) {
  constexpr absl::string_view kEndOfCode = "\nPK";
  const size_t end = input.find(kEndOfCode);
  const absl::string_view code = input.substr(0, end);
  const absl::string_view pickle =
      end == input.npos ? absl::string_view() : input.substr(end + kEndOfCode.size());
  ZipBuilder archive;
  archive.Add("module/data.pkl", std::string(pickle));
  archive.Add("module/code/__torch__.py", std::string(code));
  archive.Add("module/code/__torch__/torch/nn.py", std::string(code));
  for (int i = 0; i < 4; ++i) archive.Add("module/data/" + std::to_string(i), std::string(16, 1));
  return archive.Add("module/constants.pkl", "\x80\x02).").Build();
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const stockpot::MemoryFile memory(stockpot::TorchScriptArchive(stockpot::AsText(data, size)));
  auto file = stockpot::MappedFile::Open(memory.path());
  stockpot::Require(file.ok(), "a file in memory can be mapped");
  const auto opened = stockpot::OpenTorchSave(*std::move(file), {});
  if (opened.ok()) stockpot::ReadAll(*opened->state_dict);
  return 0;
}
