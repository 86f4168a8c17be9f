#include "server/worker/session/soup_writer.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/content_summary.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "server/worker/checkpoint/shards.h"
#include "server/worker/session/scratch_folder.h"
#include "server/worker/session/torch_save_writer.h"
#include "server/worker/soup/blend_stream.h"

namespace stockpot {
namespace {

using worker::v1::SoupFiles;
using worker::v1::WriteSoup;

constexpr char kName[] = "soup";

absl::StatusOr<std::vector<Shard>> PlanFiles(const WriteSoup& task,
                                             const std::vector<TensorInfo>& tensors) {
  switch (task.format()) {
    case v1::Output::FORMAT_UNSPECIFIED:
    case v1::Output::SAFETENSORS:
      if (task.max_shard_bytes() <= 0) {
        return absl::InvalidArgumentError("max_shard_bytes must be positive");
      }
      return DivideIntoShards(tensors, static_cast<uint64_t>(task.max_shard_bytes()), kName);
    case v1::Output::TORCH_SAVE:
      return std::vector<Shard>{{absl::StrCat(kName, ".pt"), 0, tensors.size()}};
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown output format ", static_cast<int>(task.format())));
  }
}

// One soup on its way into files.
class SoupWriter {
 public:
  SoupWriter(const BlendSource& blend, const WriteSoup& task, const CheckpointLimits& limits,
             const Progress& progress)
      : blend_(blend),
        task_(task),
        limits_(limits),
        progress_(progress),
        metadata_(task.metadata().begin(), task.metadata().end()),
        tensors_(BlendedTensors({blend.ingredients, blend.coefficients, blend.dtype})) {}

  // Makes all files, under temporary names.
  absl::Status Write() {
    ASSIGN_OR_RETURN(shards_, PlanFiles(task_, tensors_));
    if (!task_.discard()) {
      ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::Create(task_.folder()));
      scratch_.emplace(std::move(scratch));
    }
    ContentSummarizer content;
    for (const Shard& shard : shards_) RETURN_IF_ERROR(WriteShard(shard, &content));
    files_.set_content_digest(content.Finish().digest);
    if (scratch_.has_value()) RETURN_IF_ERROR(ReadBack());
    if (shards_.size() > 1) RETURN_IF_ERROR(WriteIndex());
    return absl::OkStatus();
  }

  absl::Status Rename() const {
    for (const SoupFiles::File& file : files_.files()) {
      RETURN_IF_ERROR(
          RenameDurably(*scratch_ / file.file(), absl::StrCat(task_.folder(), "/", file.file())));
    }
    return absl::OkStatus();
  }

  SoupFiles TakeFiles() { return std::move(files_); }

 private:
  // Empty, which keeps nothing, without a scratch folder.
  std::string PathOf(const std::string& file) const {
    return scratch_.has_value() ? *scratch_ / file : "";
  }

  absl::StatusOr<std::unique_ptr<TensorWriter>> CreateWriter(const Shard& shard) const {
    std::vector<TensorInfo> tensors(tensors_.begin() + static_cast<ptrdiff_t>(shard.begin),
                                    tensors_.begin() + static_cast<ptrdiff_t>(shard.end));
    if (task_.format() == v1::Output::TORCH_SAVE) {
      return CreateTorchSaveWriter(PathOf(shard.file), std::move(tensors));
    }
    return SafetensorsWriter::Create(PathOf(shard.file), std::move(tensors), metadata_);
  }

  absl::Status WriteShard(const Shard& shard, ContentSummarizer* content) {
    ASSIGN_OR_RETURN(const auto writer, CreateWriter(shard));
    BlendConsumers consumers;
    for (const TensorWriter::Sink& sink : writer->Sinks()) {
      consumers.soup.push_back([sink](const TensorPart& part) { return sink(part.elements); });
    }
    consumers.soup.push_back([&](const TensorPart& part) {
      content->AddPart(tensors_[part.tensor], part.offset, part.elements);
      return absl::OkStatus();
    });
    int64_t before = 0;
    RETURN_IF_ERROR(StreamBlend({blend_.ingredients, blend_.coefficients, blend_.dtype},
                                shard.begin, shard.end, {}, consumers, [&](int64_t done, int64_t) {
                                  return Step(done - std::exchange(before, done));
                                }));
    ASSIGN_OR_RETURN(const WrittenFile written, writer->Finish());
    AddFile(shard.file, written);
    return absl::OkStatus();
  }

  // Files hold their tensors in name order, one file after the other.
  absl::Status ReadBack() {
    ContentSummarizer content;
    for (const Shard& shard : shards_) {
      ASSIGN_OR_RETURN(const auto file, OpenCheckpoint(PathOf(shard.file), limits_));
      int64_t last = 0;
      RETURN_IF_ERROR(content.Add(*file, [&](int64_t done, int64_t) {
        return done == std::exchange(last, done) ? absl::OkStatus() : Step();
      }));
    }
    if (content.Finish().digest == files_.content_digest()) return absl::OkStatus();
    return absl::DataLossError("what was read back is not what was written");
  }

  absl::Status WriteIndex() {
    const std::string name = absl::StrCat(kName, ".safetensors.index.json");
    ASSIGN_OR_RETURN(SummedFile file, SummedFile::Create(PathOf(name)));
    RETURN_IF_ERROR(file.Write(ShardIndex(tensors_, shards_, metadata_)));
    ASSIGN_OR_RETURN(const WrittenFile written, file.Finish());
    AddFile(name, written);
    return absl::OkStatus();
  }

  void AddFile(const std::string& name, const WrittenFile& written) {
    SoupFiles::File* file = files_.add_files();
    file->set_file(name);
    file->set_size_bytes(static_cast<int64_t>(written.byte_count));
    file->set_sha256(written.sha256);
  }

  // Tensors are written, or read back.
  absl::Status Step(int64_t tensors = 1) {
    const auto total = static_cast<int64_t>(tensors_.size()) * (task_.discard() ? 1 : 2);
    steps_ += tensors;
    return progress_(steps_, total);
  }

  const BlendSource& blend_;
  const WriteSoup& task_;
  const CheckpointLimits& limits_;
  const Progress& progress_;
  const std::map<std::string, std::string> metadata_;
  const std::vector<TensorInfo> tensors_;
  std::vector<Shard> shards_;
  std::optional<ScratchFolder> scratch_;  // none where nothing is kept
  int64_t steps_ = 0;
  SoupFiles files_;
};

}  // namespace

absl::StatusOr<SoupFiles> WriteSoupFiles(const BlendSource& blend, const WriteSoup& task,
                                         const CheckpointLimits& limits, const Progress& progress,
                                         const FailPoints* fail_points) {
  SoupWriter writer(blend, task, limits, progress);
  RETURN_IF_ERROR(writer.Write());
  if (task.discard()) return writer.TakeFiles();
  if (fail_points != nullptr) fail_points->Reach("soup_written");
  RETURN_IF_ERROR(writer.Rename());
  if (fail_points != nullptr) fail_points->Reach("soup_renamed");
  return writer.TakeFiles();
}

}  // namespace stockpot
