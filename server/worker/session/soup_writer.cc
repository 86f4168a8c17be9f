#include "server/worker/session/soup_writer.h"

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {
namespace {

constexpr char kFileName[] = "soup.safetensors";

std::vector<TensorInfo> SoupTensors(const BlendSource& blend) {
  std::vector<TensorInfo> tensors = blend.ingredients[0]->tensors();
  for (TensorInfo& tensor : tensors) tensor.dtype = BlendDType(tensor.dtype, blend.dtype);
  return tensors;
}

absl::StatusOr<WrittenFile> WriteTensors(const BlendSource& blend, const std::string& path,
                                         const std::map<std::string, std::string>& metadata,
                                         const std::function<absl::Status()>& keep_going) {
  const std::vector<TensorInfo> tensors = SoupTensors(blend);
  ASSIGN_OR_RETURN(const auto writer, SafetensorsWriter::Create(path, tensors, metadata));
  std::vector<char> elements;
  for (size_t i = 0; i < tensors.size(); ++i) {
    RETURN_IF_ERROR(keep_going());
    elements.resize(tensors[i].byte_count());
    RETURN_IF_ERROR(Annotate(BlendTensor(blend.ingredients, blend.coefficients, i, blend.dtype,
                                         absl::MakeSpan(elements)),
                             absl::StrCat("tensor '", tensors[i].name, "'")));
    RETURN_IF_ERROR(writer->Append(elements));
  }
  return writer->Finish();
}

}  // namespace

absl::StatusOr<worker::v1::SoupFiles> WriteSoupFile(
    const BlendSource& blend, const std::string& folder,
    const std::map<std::string, std::string>& metadata, const CheckpointLimits& limits,
    const std::function<absl::Status()>& keep_going) {
  const std::string path = absl::StrCat(folder, "/", kFileName);
  const std::string temporary = path + ".part";
  RETURN_IF_ERROR(RemoveAll(temporary));
  // Nothing is left behind by a failure; after the rename there is nothing to remove.
  const auto cleanup = absl::MakeCleanup([&temporary] { RemoveAll(temporary).IgnoreError(); });
  ASSIGN_OR_RETURN(const WrittenFile written, WriteTensors(blend, temporary, metadata, keep_going));
  ASSIGN_OR_RETURN(const auto read_back, OpenCheckpoint(temporary, limits));
  ASSIGN_OR_RETURN(const ContentSummary content, SummarizeContent(*read_back));
  RETURN_IF_ERROR(RenameDurably(temporary, path));

  worker::v1::SoupFiles files;
  files.set_content_digest(content.digest);
  worker::v1::SoupFiles::File* file = files.add_files();
  file->set_file(kFileName);
  file->set_size_bytes(static_cast<int64_t>(written.byte_count));
  file->set_sha256(written.sha256);
  return files;
}

}  // namespace stockpot
