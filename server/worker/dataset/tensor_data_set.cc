#include "server/worker/dataset/tensor_data_set.h"

#include <sys/stat.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/worker/dataset/content_digest.h"

namespace stockpot {
namespace {

absl::Status Invalid(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

// As a checkpoint reader says it, under the reasons of data sets.
absl::Status AsDataSetError(const absl::Status& status) {
  const bool missing = absl::IsNotFound(status);
  return WithReason(status, missing ? "DATA_SET_NOT_FOUND" : "DATA_SET_INVALID");
}

std::string DescribeShape(const TensorInfo& tensor) {
  return absl::StrCat("tensor '", tensor.name, "' of shape [", absl::StrJoin(tensor.shape, ", "),
                      "]");
}

// The tensors of a file by name.
class Tensors {
 public:
  explicit Tensors(std::shared_ptr<const StateDict> file) : file_(std::move(file)) {}

  absl::StatusOr<size_t> Find(const std::string& name) const {
    const std::vector<TensorInfo>& all = file_->tensors();
    std::vector<absl::string_view> names;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].name == name) return i;
      if (names.size() < 20) names.push_back(all[i].name);
    }
    return WithMetadata(Invalid(absl::StrCat("no tensor '", name, "'; there are: ",
                                             names.empty() ? "none" : absl::StrJoin(names, ", "),
                                             all.size() > names.size() ? ", …" : "")),
                        "tensor", name);
  }

  const TensorInfo& info(size_t index) const { return file_->tensors()[index]; }
  size_t count() const { return file_->tensors().size(); }

  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>* scratch) const {
    auto bytes = file_->Read(index, scratch);
    if (!bytes.ok()) return AsDataSetError(bytes.status());
    return bytes;
  }

 private:
  std::shared_ptr<const StateDict> file_;
};

class TensorDataSet final : public DataSet {
 public:
  explicit TensorDataSet(Tensors tensors) : tensors_(std::move(tensors)) {}

  absl::Status Read(const DataSetSource& source, const DataSetLimits& limits) {
    ASSIGN_OR_RETURN(const size_t label_tensor, tensors_.Find(source.label_tensor));
    RETURN_IF_ERROR(AddLabels(label_tensor, limits));
    std::vector<size_t> chosen;
    if (source.inputs.empty()) {
      for (size_t i = 0; i < tensors_.count(); ++i) {
        if (i != label_tensor) chosen.push_back(i);
      }
    }
    for (const std::string& name : source.inputs) {
      ASSIGN_OR_RETURN(const size_t input, tensors_.Find(name));
      chosen.push_back(input);
    }
    if (chosen.empty()) return Invalid("there is no tensor besides the labels");
    if (std::set<size_t>(chosen.begin(), chosen.end()).size() != chosen.size()) {
      return Invalid("an input is named twice");
    }
    scratch_.resize(chosen.size());
    for (size_t k = 0; k < chosen.size(); ++k) {
      RETURN_IF_ERROR(AddInput(chosen[k], &scratch_[k]));
    }
    return absl::OkStatus();
  }

  void ComputeDigest() { digest_ = ContentDigest(inputs_, examples_, labels_); }
  void set_digest(std::string digest) { digest_ = std::move(digest); }

  int64_t size() const override { return labels_.example_count; }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  LabelKind label_kind() const override { return labels_.kind; }
  absl::Span<const int64_t> labels() const override { return labels_.integers; }
  absl::Span<const double> targets() const override { return labels_.numbers; }
  int64_t class_count() const override { return labels_.class_count; }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  const char* example(size_t k, int64_t i) const override {
    return examples_[k] + static_cast<size_t>(i) * inputs_[k].byte_count;
  }
  const std::string& digest() const override { return digest_; }

 private:
  absl::Status AddLabels(size_t index, const DataSetLimits& limits) {
    const TensorInfo& info = tensors_.info(index);
    // Before anything is copied.
    if (!info.shape.empty() && static_cast<uint64_t>(info.element_count()) > limits.max_examples) {
      return Invalid(
          absl::StrCat(DescribeShape(info), ": labels are limited to ", limits.max_examples));
    }
    std::vector<char> scratch;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, tensors_.Read(index, &scratch));
    ASSIGN_OR_RETURN(labels_, ReadLabels(info, bytes));
    return absl::OkStatus();
  }

  absl::Status AddInput(size_t index, std::vector<char>* scratch) {
    const TensorInfo& info = tensors_.info(index);
    if (info.shape.empty() || info.shape[0] != size()) {
      return WithMetadata(Invalid(absl::StrCat(DescribeShape(info), ": there are ", size(),
                                               " labels, so [", size(), ", …] is expected")),
                          "tensor", info.name);
    }
    if (info.byte_count() == 0) {
      return WithMetadata(Invalid(absl::StrCat(DescribeShape(info), " is empty")), "tensor",
                          info.name);
    }
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, tensors_.Read(index, scratch));
    inputs_.push_back({info.name,
                       info.dtype,
                       {info.shape.begin() + 1, info.shape.end()},
                       bytes.size() / static_cast<size_t>(size())});
    examples_.push_back(bytes.data());
    return absl::OkStatus();
  }

  const Tensors tensors_;
  std::vector<std::vector<char>> scratch_;  // of inputs that the file does not store contiguously
  std::vector<InputInfo> inputs_;
  std::vector<const char*> examples_;
  Labels labels_;
  const std::vector<std::string> class_names_;  // tensors have none
  std::string digest_;
};

absl::StatusOr<std::string> DigestCacheKey(const DataSetSource& source) {
  struct stat info;
  if (stat(source.path.c_str(), &info) != 0) {
    return AsDataSetError(ErrnoStatus(errno, "cannot open"));
  }
  Sha256 key;
  key.UpdateField("stockpot digest cache 1")
      .UpdateField(source.path)
      .UpdateField(absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_size, " ",
                                info.st_ctim.tv_sec, " ", info.st_ctim.tv_nsec))
      .UpdateField(source.label_tensor);
  for (const std::string& input : source.inputs) key.UpdateField(input);
  return key.Finish();
}

// Whether the path still names the file that was there when `key` was made.
absl::Status CheckUnchanged(const DataSetSource& source, const std::string& key) {
  ASSIGN_OR_RETURN(const std::string key_now, DigestCacheKey(source));
  if (key_now == key) return absl::OkStatus();
  return Invalid("the file was changed while it was read; try again when it is at rest");
}

// "" when the cache has none that can be believed.
std::string ReadCachedDigest(const std::string& path, const std::string& key) {
  const absl::StatusOr<std::string> content = ReadSmallFile(path, 1000);
  if (!content.ok() || content->size() < 64) return "";
  const std::string digest = content->substr(0, 64);
  return *content == absl::StrCat(digest, " ", Sha256Hex(key + digest)) ? digest : "";
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenTensorDataSet(const DataSetSource& source,
                                                                 const CacheFolder& cache,
                                                                 const DataSetLimits& limits) {
  ASSIGN_OR_RETURN(const std::string key, DigestCacheKey(source));
  absl::StatusOr<std::shared_ptr<const StateDict>> file = OpenCheckpoint(source.path, {});
  if (!file.ok()) return AsDataSetError(file.status());
  if ((*file)->format() != "safetensors") {
    return Invalid(
        absl::StrCat("a ", (*file)->format(), " file: tensors are read from safetensors"));
  }
  auto data_set = std::make_shared<TensorDataSet>(Tensors(*std::move(file)));
  RETURN_IF_ERROR(data_set->Read(source, limits));
  RETURN_IF_ERROR(CheckUnchanged(source, key));  // it may have been replaced before it was mapped

  const std::string name = key + ".digest", path = cache.PathOf(name);
  std::string digest = ReadCachedDigest(path, key);
  if (!digest.empty()) {
    cache.Touch(name);
    data_set->set_digest(std::move(digest));
    return data_set;
  }
  {
    ASSIGN_OR_RETURN(const CacheFolder::BuildLock lock, cache.LockForBuild(name));
    digest = ReadCachedDigest(path, key);  // somebody may have made it while we waited
    if (!digest.empty()) {
      data_set->set_digest(std::move(digest));
      return data_set;
    }
    data_set->ComputeDigest();
    RETURN_IF_ERROR(CheckUnchanged(source, key));
    RETURN_IF_ERROR(Annotate(
        WriteFileDurably(
            path, absl::StrCat(data_set->digest(), " ", Sha256Hex(key + data_set->digest()))),
        "data cache"));
  }
  cache.Evict(limits.max_cache_bytes, name);
  return data_set;
}

}  // namespace stockpot
