#include "server/worker/session/classifier_source.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/content_summary.h"

namespace stockpot {
namespace {

constexpr char kDefaultWeight[] = "weight";

absl::Status Invalid(const std::string& tensor, absl::string_view what) {
  return WithReason(AtTensor(tensor, absl::InvalidArgumentError(what)), "DATA_SET_INVALID");
}

// The index of a floating-point tensor with so many dimensions.
absl::StatusOr<size_t> Find(const StateDict& tensors, const std::string& name, size_t rank,
                            absl::string_view shape) {
  const std::optional<size_t> index = FindTensor(tensors.tensors(), name);
  if (!index.has_value()) return Invalid(name, "is not there: name the classifier's tensors");
  const TensorInfo& found = tensors.tensors()[*index];
  if (!IsFloatingPoint(found.dtype) || found.shape.size() != rank || found.element_count() == 0) {
    return Invalid(
        name, absl::StrCat("is ", DTypeName(found.dtype), " [", absl::StrJoin(found.shape, ", "),
                           "]: a classifier's is floating-point ", shape));
  }
  return *index;
}

absl::Status AddTensor(const StateDict& tensors, size_t index, ContentSummarizer* content) {
  std::vector<char> scratch;
  ASSIGN_OR_RETURN(const absl::Span<const char> elements, tensors.Read(index, &scratch));
  content->Add(tensors.tensors()[index], elements);
  return absl::OkStatus();
}

// Both tensors in name order, as a checkpoint's are summed.
absl::StatusOr<ContentSummary> Summarize(const LinearClassifier& head) {
  std::vector<size_t> indices = {head.weight};
  if (head.bias.has_value()) indices.push_back(*head.bias);
  std::sort(indices.begin(), indices.end());
  ContentSummarizer content;
  for (const size_t index : indices) RETURN_IF_ERROR(AddTensor(*head.tensors, index, &content));
  return content.Finish();
}

absl::StatusOr<ClassifierSource> Read(const v1::Classifier& message,
                                      std::shared_ptr<const StateDict> tensors) {
  ClassifierSource source;
  LinearClassifier& head = source.classifier;
  head.tensors = std::move(tensors);
  const std::vector<TensorInfo>& infos = head.tensors->tensors();
  ASSIGN_OR_RETURN(head.weight,
                   Find(*head.tensors,
                        message.weight_tensor().empty() ? kDefaultWeight : message.weight_tensor(),
                        2, "[classes, features]"));
  source.class_count = infos[head.weight].shape[0];
  source.feature_count = infos[head.weight].shape[1];
  if (!message.bias_tensor().empty()) {
    ASSIGN_OR_RETURN(head.bias, Find(*head.tensors, message.bias_tensor(), 1, "[classes]"));
    if (infos[*head.bias].shape[0] != source.class_count) {
      return Invalid(message.bias_tensor(),
                     absl::StrCat("has ", infos[*head.bias].shape[0], " classes, the weight ",
                                  source.class_count));
    }
  }
  head.normalize_features = message.normalize_features();
  head.scale = message.scale() == 0 ? 1 : message.scale();
  ASSIGN_OR_RETURN(ContentSummary content, Summarize(head));
  if (!content.non_finite_tensor.empty()) {
    return Invalid(content.non_finite_tensor, "holds NaN or an infinity");
  }
  source.digest = std::move(content.digest);
  return source;
}

}  // namespace

absl::StatusOr<ClassifierSource> OpenClassifier(const v1::Classifier& classifier, Sources* sources,
                                                const Progress& progress) {
  auto checkpoint = sources->OpenCheckpoint(classifier.uri(), {}, progress);
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), "classifier");
  auto source = Read(classifier, std::move(checkpoint->state_dict));
  if (!source.ok()) {
    return Annotate(source.status(), absl::StrCat("classifier ", classifier.uri()));
  }
  source->pinned_uri = std::move(checkpoint->pinned_uri);
  return source;
}

}  // namespace stockpot
