// The index of a checkpoint in several files, and the configuration of an adapter: JSON both.
#include "absl/strings/match.h"
#include "server/worker/checkpoint/low_rank_adapter.h"
#include "server/worker/checkpoint/shard_index.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text = stockpot::AsText(data, size);
  (void)stockpot::ParseAdapterConfig(text);
  const auto index = stockpot::ParseShardIndex(text, {});
  if (!index.ok()) return 0;
  stockpot::Require(!index->files.empty() && index->files.size() <= index->file_of.size(),
                    "every file has a tensor");
  for (const std::string& file : index->files) {
    stockpot::Require(!absl::StrContains(file, '/') && file != "." && file != "..",
                      "no file lies elsewhere");
  }
  return 0;
}
