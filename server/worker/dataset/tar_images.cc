#include "server/worker/dataset/tar_images.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/dataset/json_label.h"
#include "server/worker/dataset/labels.h"
#include "server/worker/dataset/source_files.h"
#include "server/worker/dataset/tar_reader.h"

namespace stockpot {
namespace {

constexpr absl::string_view kImageExtensions[] = {"jpg", "jpeg", "png", "webp"};
constexpr uint64_t kMaxFieldBytes = 1 << 20;  // of a member .json; captions stand in them too

// Where something of an example is told: in a member of this extension, or in a field of it.
struct Field {
  std::string extension, json_field;
  bool is_json = false;
};

struct Fields {
  Field label;
  std::optional<Field> weight;
};

// "json:FIELD" or an extension.
Field FieldOf(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "json:")) return {"json", std::string(text), true};
  return {absl::AsciiStrToLower(text), "", false};
}

struct TarImage {
  uint32_t file = 0;
  TarMember member;
};

struct KeyAndExtension {
  absl::string_view key, extension;
};

// An empty key: the member is no part of an example.
KeyAndExtension SplitName(absl::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t base = slash == absl::string_view::npos ? 0 : slash + 1;
  const size_t dot = name.find('.', base);
  const absl::string_view first = name.substr(0, name.find('/'));
  const bool is_meta = absl::StartsWith(first, "__") && absl::EndsWith(first, "__");
  if (dot == absl::string_view::npos || dot == base || is_meta) return {};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

class TarImageSource final : public ImageSource {
 public:
  explicit TarImageSource(StampedFiles files) : files_(std::move(files)) {}

  // Lists the examples of one file.
  absl::Status AddFile(uint32_t file, const Fields& fields, const DataSetLimits& limits) {
    absl::StatusOr<std::shared_ptr<const MappedFile>> mapped =
        MappedFile::Open(files_.files()[file].path);
    RETURN_IF_ERROR(mapped.status());
    const absl::string_view bytes = (*mapped)->bytes();
    ASSIGN_OR_RETURN(const std::vector<TarMember> members, ListTar(bytes, {}));
    absl::flat_hash_set<std::string> keys;
    for (size_t begin = 0; begin < members.size();) {
      const absl::string_view key = SplitName(members[begin].name).key;
      size_t end = begin + 1;
      while (end < members.size() && SplitName(members[end].name).key == key) ++end;
      if (!key.empty()) {
        if (!keys.insert(std::string(key)).second) {
          return At(key, "comes again: the members of an example must be side by side");
        }
        RETURN_IF_ERROR(
            AddExample({members.data() + begin, end - begin}, key, fields, bytes, file));
      }
      if (images_.size() > limits.max_examples) {
        return absl::InvalidArgumentError(
            absl::StrCat("more than ", limits.max_examples, " examples"));
      }
      begin = end;
    }
    return absl::OkStatus();
  }

  void FinishLabels() { labels_ = texts_.Take(); }

  size_t size() const override { return images_.size(); }
  const RawLabels& labels() const override { return labels_; }
  absl::Span<const double> weights() const override { return weights_; }
  std::string NameOf(size_t i) const override {
    return absl::StrCat(files_.files()[images_[i].file].name, ": ", images_[i].member.name);
  }

  absl::StatusOr<Encoded> Read(size_t i) const override {
    const TarImage& image = images_[i];
    ASSIGN_OR_RETURN(std::string bytes, ReadPart(files_.files()[image.file].path,
                                                 image.member.offset, image.member.size));
    const auto owner = std::make_shared<const std::string>(std::move(bytes));
    return Encoded{*owner, owner};
  }

  void AddToKey(Sha256* key) const override { files_.AddToKey(key); }
  absl::Status CheckUnchanged() const override { return files_.CheckUnchanged(); }

 private:
  static absl::Status At(absl::string_view key, absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrCat("example ", key, " ", message));
  }

  // The one member of an extension.
  static absl::StatusOr<const TarMember*> FindMember(
      absl::Span<const TarMember> members, absl::string_view key,
      absl::Span<const absl::string_view> extensions) {
    const TarMember* found = nullptr;
    for (const TarMember& member : members) {
      const std::string extension = absl::AsciiStrToLower(SplitName(member.name).extension);
      if (!absl::c_linear_search(extensions, extension)) continue;
      if (found != nullptr) return At(key, absl::StrCat("has two of a kind: ", member.name));
      found = &member;
    }
    if (found != nullptr) return found;
    std::vector<std::string> others;
    for (const TarMember& member : members) {
      others.push_back(absl::StrCat(".", SplitName(member.name).extension));
    }
    return At(key, absl::StrCat("has no .", absl::StrJoin(extensions, ", ."), "; it has ",
                                absl::StrJoin(others, ", ")));
  }

  // The text of a member, and what `read` makes of it.
  template <typename Read>
  static auto ReadField(absl::Span<const TarMember> members, absl::string_view key,
                        const Field& field, absl::string_view bytes, const Read& read)
      -> decltype(read(absl::string_view())) {
    ASSIGN_OR_RETURN(const TarMember* member, FindMember(members, key, {field.extension}));
    if (member->size > kMaxFieldBytes) {
      return At(key, absl::StrCat("has a .", field.extension, " that is too large"));
    }
    auto value = read(bytes.substr(member->offset, member->size));
    if (!value.ok()) return Annotate(value.status(), member->name);
    return value;
  }

  absl::Status AddExample(absl::Span<const TarMember> members, absl::string_view key,
                          const Fields& fields, absl::string_view bytes, uint32_t file) {
    ASSIGN_OR_RETURN(const TarMember* image, FindMember(members, key, kImageExtensions));
    const auto read_label = [&](absl::string_view text) -> absl::StatusOr<std::string> {
      if (fields.label.is_json) return JsonLabel(text, fields.label.json_field);
      return std::string(absl::StripAsciiWhitespace(text));
    };
    ASSIGN_OR_RETURN(const std::string label,
                     ReadField(members, key, fields.label, bytes, read_label));
    texts_.Add(label);
    if (fields.weight.has_value()) {
      const auto read_weight = [&](absl::string_view text) {
        return fields.weight->is_json ? JsonWeight(text, fields.weight->json_field)
                                      : ParseWeight(absl::StripAsciiWhitespace(text));
      };
      ASSIGN_OR_RETURN(const double weight,
                       ReadField(members, key, *fields.weight, bytes, read_weight));
      weights_.push_back(weight);
    }
    images_.push_back({file, *image});
    return absl::OkStatus();
  }

  const StampedFiles files_;
  std::vector<TarImage> images_;
  std::vector<double> weights_;
  TextLabels texts_;
  RawLabels labels_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const ImageSource>> OpenTarImages(const DataSetSource& source,
                                                                 const DataSetLimits& limits) {
  Fields fields{FieldOf(source.label_tensor.empty() ? "cls" : source.label_tensor), std::nullopt};
  if (!source.weight_tensor.empty()) fields.weight = FieldOf(source.weight_tensor);
  ASSIGN_OR_RETURN(StampedFiles files, StampedFiles::Create(source.files));
  auto images = std::make_shared<TarImageSource>(std::move(files));
  for (uint32_t file = 0; file < source.files.size(); ++file) {
    const absl::Status added = images->AddFile(file, fields, limits);
    if (!added.ok()) {
      return WithReason(Annotate(added, source.files[file].name), "DATA_SET_INVALID");
    }
  }
  images->FinishLabels();
  if (images->size() > 0) return images;
  return WithReason(absl::InvalidArgumentError("the tar files hold no example"), "DATA_SET_EMPTY");
}

}  // namespace stockpot
