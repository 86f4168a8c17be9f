// Lines of JSON as named tensors: all of the file, and only what is asked for.
#include "server/worker/dataset/json_rows.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {
namespace {

// A list's rows are as long together as what is given of it; other rows are one element each.
void CheckColumn(const TensorRows& rows, size_t index, int64_t count) {
  const TensorInfo& tensor = rows.tensors()[index];
  Require(tensor.shape[0] == count, "every field has a value in every line");
  size_t elements = static_cast<size_t>(count);
  if (IsList(tensor)) {
    const auto lengths = rows.Lengths(index);
    Require(lengths.ok() && lengths->size() == elements, "every list has a length");
    elements = 0;
    for (const int64_t length : *lengths) {
      Require(length > 0, "no list is empty");
      elements += static_cast<size_t>(length);
    }
  }
  size_t bytes = 0;
  const absl::Status scanned = rows.Scan(index, [&](absl::string_view some) {
    bytes += some.size();
    return absl::OkStatus();
  });
  Require(scanned.ok() && bytes == elements * DTypeSize(tensor.dtype), "all elements are given");
}

void Read(const MemoryFile& file, const std::vector<std::string>& inputs) {
  DataSetSource source;
  source.kind = DataSetSource::Kind::kJsonLines;
  source.path = file.path();
  source.inputs = inputs;
  const auto rows = OpenJsonRows(source, {});
  if (!rows.ok() || (*rows)->tensors().empty()) return;
  const std::vector<TensorInfo>& tensors = (*rows)->tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    Require(i == 0 || tensors[i - 1].name < tensors[i].name, "names are sorted and come once");
    CheckColumn(**rows, i, tensors[0].shape[0]);
  }
  Require((*rows)->CheckUnchanged().ok(), "nobody changed the file");
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const stockpot::MemoryFile file(stockpot::AsText(data, size));
  stockpot::Read(file, {});
  stockpot::Read(file, {"a", "x"});
  return 0;
}
