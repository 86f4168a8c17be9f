#include "server/worker/merge/merge.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/files.h"
#include "server/base/json_reader.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_files.h"
#include "server/worker/checkpoint/content_summary.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "server/worker/merge/part_files.h"

namespace stockpot {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kExtension = ".safetensors";
absl::Status CheckNumbers(const MergeOptions& options) {
  if (options.ingredients.empty()) return absl::InvalidArgumentError("no ingredients");
  const size_t count = options.coefficients.size();
  if (count != 0 && count != options.ingredients.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        count, " coefficients for ", options.ingredients.size(), " ingredients: one for each"));
  }
  for (const double coefficient : options.coefficients) {
    if (!std::isfinite(coefficient)) {
      return absl::InvalidArgumentError(absl::StrCat("coefficient ", coefficient));
    }
  }
  if (options.dtype.has_value() && !IsFloatingPoint(*options.dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat("output dtype ", DTypeName(*options.dtype), " is not floating-point"));
  }
  return absl::OkStatus();
}

absl::Status CheckOut(const MergeOptions& options) {
  const fs::path out(options.out);
  if (!absl::EndsWith(options.out, kExtension) || out.stem().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the soup's name must end in ", std::string(kExtension)));
  }
  std::error_code error;
  if (out.has_parent_path() && !fs::is_directory(out.parent_path(), error)) {
    return absl::NotFoundError(absl::StrCat("no folder ", out.parent_path().string()));
  }
  for (const std::string& ingredient : options.ingredients) {
    if (fs::equivalent(out, ingredient, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the soup would replace its ingredient ", ingredient));
    }
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> Metadata(const MergeOptions& options) {
  Json ingredients = Json::array();
  const double uniform = 1.0 / static_cast<double>(options.ingredients.size());
  for (size_t i = 0; i < options.ingredients.size(); ++i) {
    const std::string& path = options.ingredients[i];
    ingredients.push_back(
        {{"name", fs::path(path).filename().string()},
         {"uri", path},
         {"coefficient", options.coefficients.empty() ? uniform : options.coefficients[i]}});
  }
  // As a job's soup has them. "format": "pt" is what Python readers of safetensors look for.
  return {{"format", "pt"},
          {"stockpot.software", options.software},
          {"stockpot.recipe", options.coefficients.empty() ? "merge, uniform" : "merge"},
          {"stockpot.ingredients", DumpJson(ingredients)}};
}

absl::Status CheckRoom(const std::string& folder, uint64_t byte_count) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= byte_count) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(
                        absl::StrCat("the soup has ", byte_count, " bytes, the disk has room for ",
                                     static_cast<uint64_t>(space.available))),
                    "DISK_FULL");
}

// One run of Merge.
class Writer {
 public:
  Writer(const MergeOptions& options, const WeightBlend& blend, const BlendStreamOptions& stream,
         const std::vector<TensorInfo>& tensors, const Progress& progress)
      : metadata_(Metadata(options)),
        blend_(blend),
        stream_(stream),
        tensors_(tensors),
        progress_(progress),
        contents_(options.digests ? blend.ingredients.size() : 0) {}

  absl::StatusOr<WrittenFile> WriteShard(const Shard& shard, const std::string& path) {
    ASSIGN_OR_RETURN(const auto writer,
                     SafetensorsWriter::Create(path, TensorsOf(shard), metadata_,
                                               SummedFile::SystemCache::kBypassed));
    BlendConsumers consumers;
    for (const TensorWriter::Sink& sink : writer->Sinks()) {
      consumers.soup.push_back([sink](const TensorPart& part) { return sink(part.elements); });
    }
    for (size_t k = 0; k < contents_.size(); ++k) {
      consumers.ingredients.push_back([this, k](const TensorPart& part) {
        contents_[k].AddPart(blend_.ingredients[k]->tensors()[part.tensor], part.offset,
                             part.elements);
        return absl::OkStatus();
      });
    }
    const auto before = static_cast<int64_t>(shard.begin);
    const auto total = static_cast<int64_t>(tensors_.size());
    RETURN_IF_ERROR(
        StreamBlend(blend_, shard.begin, shard.end, stream_, consumers,
                    [&](int64_t done, int64_t) { return progress_(before + done, total); }));
    return writer->Finish();
  }

  absl::StatusOr<WrittenFile> WriteIndex(const std::vector<Shard>& shards,
                                         const std::string& path) const {
    ASSIGN_OR_RETURN(SummedFile file, SummedFile::Create(path));
    RETURN_IF_ERROR(file.Write(ShardIndex(tensors_, shards, metadata_)));
    return file.Finish();
  }

  std::vector<std::string> TakeDigests() {
    std::vector<std::string> digests;
    for (ContentSummarizer& content : contents_) digests.push_back(content.Finish().digest);
    return digests;
  }

 private:
  std::vector<TensorInfo> TensorsOf(const Shard& shard) const {
    return {tensors_.begin() + static_cast<ptrdiff_t>(shard.begin),
            tensors_.begin() + static_cast<ptrdiff_t>(shard.end)};
  }

  const std::map<std::string, std::string> metadata_;
  const WeightBlend blend_;
  const BlendStreamOptions& stream_;
  const std::vector<TensorInfo>& tensors_;
  const Progress& progress_;
  std::vector<ContentSummarizer> contents_;  // of the ingredients, or none
};

}  // namespace

absl::StatusOr<Merge> Merge::Open(MergeOptions options) {
  RETURN_IF_ERROR(CheckNumbers(options));
  RETURN_IF_ERROR(CheckOut(options));
  Merge merge(std::move(options));
  RETURN_IF_ERROR(merge.OpenIngredients());
  merge.MakePlan();
  return merge;
}

absl::Status Merge::OpenIngredients() {
  std::shared_ptr<const StateDict> base;
  if (!options_.base.empty()) {
    auto opened = OpenLocalCheckpoint(options_.base, nullptr, options_.limits);
    if (!opened.ok()) return Annotate(opened.status(), absl::StrCat("base ", options_.base));
    base = *std::move(opened);
  }
  for (const std::string& path : options_.ingredients) {
    absl::StatusOr<std::shared_ptr<const StateDict>> opened =
        OpenLocalCheckpoint(path, base, options_.limits);
    absl::Status status = opened.status();
    if (status.ok() && !ingredients_.empty()) {
      status = CheckCompatible(ingredients_[0]->tensors(), (*opened)->tensors());
    }
    RETURN_IF_ERROR(Annotate(status, absl::StrCat("checkpoint ", path)));
    ingredients_.push_back(*std::move(opened));
  }
  return absl::OkStatus();
}

void Merge::MakePlan() {
  const fs::path out(options_.out);
  folder_ = out.has_parent_path() ? out.parent_path().string() : ".";
  name_ = out.stem().string();
  tensors_ = BlendedTensors(blend());
  shards_ = DivideIntoShards(
      tensors_, options_.max_shard_bytes > 0 ? options_.max_shard_bytes : UINT64_MAX, name_);
  // One of them waits for the disk much of the time.
  stream_.threads = options_.threads > 0 ? options_.threads : CoreCount() + 1;
  // The program and its libraries before it opened anything take 12 MB; of each tensor it knows
  // name, shape and place, and while it reads one header it holds that as JSON too.
  constexpr uint64_t kProgram = 24 << 20, kOfTensor = 512, kOfHeaderTensor = 4096;
  plan_.ingredients = ingredients_.size();
  plan_.tensors = tensors_.size();
  plan_.threads = stream_.threads;
  for (const TensorInfo& tensor : ingredients_[0]->tensors()) {
    plan_.bytes_read += tensor.byte_count() * ingredients_.size();
  }
  for (const TensorInfo& tensor : tensors_) plan_.bytes_written += tensor.byte_count();
  for (const Shard& shard : shards_) plan_.files.push_back(absl::StrCat(folder_, "/", shard.file));
  const BlendStreamMemory memory = PlanBlendStream(blend(), stream_, options_.digests);
  plan_.buffer_bytes = memory.buffers;
  plan_.mapped_bytes = memory.mapped;
  plan_.copied_bytes = memory.copies;
  plan_.program_bytes =
      kProgram + tensors_.size() * (kOfTensor * (ingredients_.size() + 2) + kOfHeaderTensor);
  plan_.peak_bytes =
      plan_.program_bytes + plan_.buffer_bytes + plan_.mapped_bytes + plan_.copied_bytes;
}

absl::StatusOr<MergeResult> Merge::Run(const Progress& progress) const {
  RETURN_IF_ERROR(CheckRoom(folder_, plan_.bytes_written));
  PartFiles parts(folder_);
  Writer writer(options_, blend(), stream_, tensors_, progress);
  MergeResult result;
  const auto add = [&](const std::string& file, WrittenFile written) {
    result.files.push_back(
        {absl::StrCat(folder_, "/", file), written.byte_count, std::move(written.sha256)});
  };
  for (const Shard& shard : shards_) {
    ASSIGN_OR_RETURN(WrittenFile written, writer.WriteShard(shard, parts.Add(shard.file)));
    add(shard.file, std::move(written));
  }
  if (shards_.size() > 1) {
    const std::string index = absl::StrCat(name_, std::string(kExtension), ".index.json");
    ASSIGN_OR_RETURN(WrittenFile written, writer.WriteIndex(shards_, parts.Add(index)));
    add(index, std::move(written));
  }
  RETURN_IF_ERROR(parts.Rename());
  result.ingredient_digests = writer.TakeDigests();
  return result;
}

}  // namespace stockpot
