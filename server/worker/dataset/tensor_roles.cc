#include "server/worker/dataset/tensor_roles.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::Status InvalidRole(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

absl::StatusOr<size_t> FindNamed(const std::vector<TensorInfo>& all, const std::string& name) {
  std::vector<absl::string_view> names;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return i;
    if (names.size() < 20) names.push_back(all[i].name);
  }
  return WithMetadata(InvalidRole(absl::StrCat("no tensor '", name, "'; there are: ",
                                               names.empty() ? "none" : absl::StrJoin(names, ", "),
                                               all.size() > names.size() ? ", …" : "")),
                      "tensor", name);
}

}  // namespace

absl::StatusOr<TensorRoles> FindTensorRoles(const std::vector<TensorInfo>& all,
                                            const std::string& label_tensor,
                                            const std::vector<std::string>& inputs,
                                            const std::string& weight_tensor) {
  TensorRoles roles;
  ASSIGN_OR_RETURN(roles.label, FindNamed(all, label_tensor));
  if (!weight_tensor.empty()) {
    ASSIGN_OR_RETURN(roles.weights, FindNamed(all, weight_tensor));
    if (roles.weights == roles.label) return InvalidRole("the weights cannot be the labels");
  }
  if (inputs.empty()) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (i != roles.label && i != roles.weights) roles.inputs.push_back(i);
    }
  }
  for (const std::string& name : inputs) {
    ASSIGN_OR_RETURN(const size_t input, FindNamed(all, name));
    roles.inputs.push_back(input);
  }
  if (roles.inputs.empty()) return InvalidRole("there is no tensor besides the labels");
  for (const size_t input : roles.inputs) {
    if (input == roles.weights) return InvalidRole("the weights cannot be an input as well");
  }
  const std::set<size_t> distinct(roles.inputs.begin(), roles.inputs.end());
  if (distinct.size() != roles.inputs.size()) return InvalidRole("an input is named twice");
  return roles;
}

absl::StatusOr<TensorRoles> FindCachedRoles(const std::vector<TensorInfo>& cached,
                                            const std::vector<TensorInfo>& all,
                                            const TensorRoles& roles) {
  std::vector<std::string> inputs;
  for (const size_t input : roles.inputs) inputs.push_back(all[input].name);
  const std::string weights = roles.weights.has_value() ? all[*roles.weights].name : "";
  ASSIGN_OR_RETURN(TensorRoles found,
                   FindTensorRoles(cached, all[roles.label].name, inputs, weights));
  found.lengths = FindTensor(cached, kLengthsTensor);
  return found;
}

}  // namespace stockpot
