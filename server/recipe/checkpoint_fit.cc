// Whether checkpoints fit the architecture and each other.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/name_pattern.h"
#include "server/recipe/task.h"

namespace stockpot {
namespace {

std::string ShapeText(const TensorSignature& tensor) {
  return absl::StrCat(tensor.dtype, " [", absl::StrJoin(tensor.shape, ", "), "]");
}

// Said where two matrices differ in their rows alone and are called as embeddings are.
std::string VocabularyHint(const TensorSignature& a, const TensorSignature& b) {
  const bool rows_differ = a.shape.size() == 2 && b.shape.size() == 2 && a.shape[1] == b.shape[1];
  const bool is_embedding =
      MatchesAny({"*embed*", "*wte*", "*lm_head*", "*vocab*", "*decoder.weight"}, a.name);
  if (!rows_differ || !is_embedding) return "";
  return "; vocabularies of different size cannot be averaged: their rows stand for other tokens";
}

// Said where the checkpoint has it below a prefix, or without one.
std::string RenameHint(const std::map<std::string, const TensorSignature*>& present,
                       const TensorSignature& expected) {
  for (const auto& [name, tensor] : present) {
    if (tensor->shape != expected.shape) continue;
    if (absl::EndsWith(name, absl::StrCat(".", expected.name)) ||
        absl::EndsWith(expected.name, absl::StrCat(".", name))) {
      return absl::StrCat("; the checkpoint has a '", name,
                          "', which a rule of model.tensor_renames may rename");
    }
  }
  return "";
}

absl::Status Mismatch(const std::string& tensor, const std::string& message) {
  return WithMetadata(WithReason(absl::InvalidArgumentError(message), "CHECKPOINT_MISMATCH"),
                      "tensor", tensor);
}

}  // namespace

absl::Status CheckFits(const CheckpointFound& checkpoint, const ArchitectureFound& architecture,
                       const CheckpointFound* first, const TensorSelectionReference& selection) {
  const auto left_out = [&](const std::string& name) {
    return MatchesAny(selection.excluded, name) || MatchesAny(selection.from_base, name);
  };
  std::map<std::string, const TensorSignature*> present;
  for (const TensorSignature& tensor : checkpoint.tensors) {
    if (!left_out(tensor.name)) present[tensor.name] = &tensor;
  }
  const std::set<std::string> buffers(architecture.buffers.begin(), architecture.buffers.end());
  // Whether the checkpoint has the tensor under another name that the architecture ties to this
  // one.
  const auto other_name = [&](const std::string& name) {
    for (const std::vector<std::string>& tie : architecture.ties) {
      if (std::find(tie.begin(), tie.end(), name) == tie.end()) continue;
      return std::any_of(tie.begin(), tie.end(),
                         [&](const std::string& other) { return present.count(other) > 0; });
    }
    return false;
  };
  std::set<std::string> known;
  for (const TensorSignature& expected : architecture.tensors) {
    if (left_out(expected.name)) continue;
    known.insert(expected.name);
    auto found = present.find(expected.name);
    if (found == present.end()) {
      if (buffers.count(expected.name) > 0 || other_name(expected.name)) continue;
      return Mismatch(
          expected.name,
          absl::StrCat("tensor '", expected.name, "' is missing; the architecture has it as ",
                       ShapeText(expected), RenameHint(present, expected)));
    }
    if (found->second->shape != expected.shape) {
      return Mismatch(expected.name,
                      absl::StrCat("tensor '", expected.name, "': ", ShapeText(*found->second),
                                   ", but the architecture expects ", ShapeText(expected),
                                   VocabularyHint(*found->second, expected)));
    }
  }
  for (const auto& [name, tensor] : present) {
    if (known.count(name) > 0) continue;
    return Mismatch(name, absl::StrCat("tensor '", name,
                                       "' is not in the architecture; one that soups need not "
                                       "have is named in model.excluded_tensors"));
  }
  if (first != nullptr && !(checkpoint.tensors == first->tensors)) {
    // Names and shapes agree with the architecture, so a dtype or an optional buffer is at fault.
    std::map<std::string, const TensorSignature*> others;
    for (const TensorSignature& tensor : first->tensors) {
      if (!left_out(tensor.name)) others[tensor.name] = &tensor;
    }
    for (const auto& [name, pointer] : present) {
      const TensorSignature& tensor = *pointer;
      auto other = others.find(tensor.name);
      if (other == others.end()) {
        return Mismatch(tensor.name,
                        absl::StrCat("tensor '", tensor.name, "' is not in the first ingredient"));
      }
      if (!(*other->second == tensor)) {
        return Mismatch(tensor.name,
                        absl::StrCat("tensor '", tensor.name, "': ", ShapeText(tensor),
                                     ", but the first ingredient has ", ShapeText(*other->second),
                                     VocabularyHint(tensor, *other->second)));
      }
      others.erase(other);
    }
    if (!others.empty()) {
      return Mismatch(others.begin()->first,
                      absl::StrCat("tensor '", others.begin()->first,
                                   "' is missing; the first ingredient has it"));
    }
  }
  if (!checkpoint.non_finite_tensor.empty()) {
    return WithMetadata(
        WithReason(absl::InvalidArgumentError(absl::StrCat("tensor '", checkpoint.non_finite_tensor,
                                                           "' holds NaN or infinity")),
                   "CHECKPOINT_NOT_FINITE"),
        "tensor", checkpoint.non_finite_tensor);
  }
  return absl::OkStatus();
}

}  // namespace stockpot
