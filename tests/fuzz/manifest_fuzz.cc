// A list of images and labels: the first byte says whether as CSV or as JSON lines.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/worker/dataset/manifest_images.h"
#include "server/worker/dataset/manifest_reader.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {
namespace {

void CheckPath(const std::string& path) {
  const auto name = NormalManifestPath(path);
  if (!name.ok()) return;
  for (const absl::string_view part : absl::StrSplit(*name, '/', absl::SkipEmpty())) {
    Require(part != "." && part != "..", "a path leads nowhere else");
  }
  Require(name->rfind('/', 0) != 0 && name->find("//") == std::string::npos,
          "a path is below its folder");
  Require(NormalManifestPath(*name).value_or("-") == *name, "a path has one text");
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  stockpot::DataSetSource source;
  using Kind = stockpot::DataSetSource::Kind;
  source.kind = data[0] == '{' ? Kind::kJsonLines : Kind::kCsv;
  const absl::string_view text = stockpot::AsText(data, size);
  const auto entries = stockpot::ReadManifest(text, source, {});
  if (!entries.ok()) return 0;
  stockpot::Require(!entries->empty(), "a list has entries");
  uint64_t line = 0;
  for (const stockpot::ManifestEntry& entry : *entries) {
    stockpot::Require(entry.line > line, "entries come line by line");
    line = entry.line;
    stockpot::CheckPath(entry.path);
  }
  return 0;
}
