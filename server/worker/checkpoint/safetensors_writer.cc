#include "server/worker/checkpoint/safetensors_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kHeaderAlignment = 8;

// A JSON string literal; bytes that are not UTF-8 become U+FFFD.
std::string JsonString(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TensorJson(const TensorInfo& info, uint64_t begin) {
  return absl::StrCat(JsonString(info.name), ":{\"dtype\":\"", DTypeName(info.dtype),
                      "\",\"shape\":[", absl::StrJoin(info.shape, ","), "],\"data_offsets\":[",
                      begin, ",", begin + info.byte_count(), "]}");
}

// The size and the header: metadata first (sorted), then the tensors as they come.
std::string Header(const std::vector<TensorInfo>& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> members;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata) {
      pairs.push_back(absl::StrCat(JsonString(key), ":", JsonString(value)));
    }
    members.push_back(absl::StrCat("\"__metadata__\":{", absl::StrJoin(pairs, ","), "}"));
  }
  uint64_t offset = 0;
  for (const TensorInfo& info : tensors) {
    members.push_back(TensorJson(info, offset));
    offset += info.byte_count();
  }
  std::string json = absl::StrCat("{", absl::StrJoin(members, ","), "}");
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  const uint64_t size = json.size();
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(&size), sizeof(size)), json);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TensorWriter>> SafetensorsWriter::Create(
    const std::string& path, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata, SummedFile::SystemCache cache) {
  RETURN_IF_ERROR(CheckNames(tensors));
  const std::string header = Header(tensors, metadata);
  ASSIGN_OR_RETURN(SummedFile file, SummedFile::Create(path, cache));
  RETURN_IF_ERROR(file.Write(header));
  return std::unique_ptr<TensorWriter>(new SafetensorsWriter(std::move(file), std::move(tensors)));
}

std::vector<TensorWriter::Sink> SafetensorsWriter::Sinks() {
  const auto store = [this](absl::Span<const char> elements) {
    const absl::StatusOr<size_t> index = Advance(elements.size());
    return index.ok() ? file_.Store({elements.data(), elements.size()}) : index.status();
  };
  const auto sum = [this](absl::Span<const char> elements) {
    file_.Sum({elements.data(), elements.size()});
    return absl::OkStatus();
  };
  return {store, sum};
}

absl::Status SafetensorsWriter::WritePart(size_t /*index*/, absl::Span<const char> elements) {
  return file_.Write({elements.data(), elements.size()});
}

absl::StatusOr<WrittenFile> SafetensorsWriter::Close() { return file_.Finish(); }

}  // namespace stockpot
