#include "server/worker/session/blend_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/session/task_messages.h"

namespace stockpot {

absl::StatusOr<BlendSource> OpenBlend(const worker::v1::Blend& blend, Sources* sources,
                                      const Progress& progress) {
  if (blend.ingredients().empty()) return absl::InvalidArgumentError("a blend of no ingredients");
  if (!blend.coefficients().empty() && blend.coefficients_size() != blend.ingredients_size()) {
    return absl::InvalidArgumentError(absl::StrCat(blend.ingredients_size(), " ingredients, but ",
                                                   blend.coefficients_size(), " coefficients"));
  }
  BlendSource source;
  ASSIGN_OR_RETURN(source.dtype, ToDType(blend.dtype()));
  source.coefficients = {blend.coefficients().begin(), blend.coefficients().end()};
  for (const worker::v1::CheckpointReference& reference : blend.ingredients()) {
    ASSIGN_OR_RETURN(Sources::Checkpoint checkpoint, sources->OpenCheckpoint(reference, progress));
    if (!source.ingredients.empty()) {
      RETURN_IF_ERROR(Annotate(
          CheckCompatible(source.ingredients[0]->tensors(), checkpoint.state_dict->tensors()),
          absl::StrCat("checkpoint ", reference.uri())));
    }
    source.ingredients.push_back(std::move(checkpoint.state_dict));
  }
  return source;
}

}  // namespace stockpot
