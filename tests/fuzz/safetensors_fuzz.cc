// A safetensors file as bytes: the size of its header, the header, the data.
#include "server/base/mapped_file.h"
#include "server/worker/checkpoint/safetensors_reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_all.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const stockpot::MemoryFile memory(stockpot::AsText(data, size));
  auto file = stockpot::MappedFile::Open(memory.path());
  stockpot::Require(file.ok(), "a file in memory can be mapped");
  const auto state_dict = stockpot::OpenSafetensors(*std::move(file), {});
  if (state_dict.ok()) stockpot::ReadAll(**state_dict);
  return 0;
}
