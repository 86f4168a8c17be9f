#include "server/worker/dataset/image_source.h"

#include <utility>

#include "server/base/status.h"
#include "server/worker/dataset/example_selection.h"
#include "server/worker/dataset/labels.h"

namespace stockpot {

absl::StatusOr<ListedImages> ListImages(std::shared_ptr<const ImageSource> images,
                                        const DataSetSource& source) {
  ListedImages listed;
  ASSIGN_OR_RETURN(ResolvedLabels resolved,
                   ResolveLabels(images->labels(), source.class_names, source.label_map,
                                 [&](size_t i) { return images->NameOf(i); }));
  std::vector<size_t> candidates;
  for (size_t i = 0; i < resolved.classes.size(); ++i) {
    if (resolved.classes[i] != ResolvedLabels::kLeftOut) candidates.push_back(i);
  }
  ASSIGN_OR_RETURN(const std::vector<size_t> chosen,
                   SelectExamples(candidates.size(), source.selection));
  for (const size_t position : chosen) {
    listed.examples.push_back(candidates[position]);
    listed.labels.push_back(resolved.classes[candidates[position]]);
    if (!images->weights().empty()) {
      listed.weights.push_back(images->weights()[candidates[position]]);
    }
  }
  if (!listed.weights.empty()) {
    RETURN_IF_ERROR(CheckWeights(source.weight_tensor, listed.weights));
  }
  listed.class_names = std::move(resolved.class_names);
  listed.source = std::move(images);
  return listed;
}

absl::Status ChangedWhileRead() {
  return WithReason(absl::InvalidArgumentError(
                        "the data set was changed while it was read; try again when it is at rest"),
                    "DATA_SET_INVALID");
}

}  // namespace stockpot
