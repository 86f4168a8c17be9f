// Parameters that a module has under several names, such as an embedding that is the head as well.
#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/architecture_runner.h"

namespace stockpot {
namespace {

// Looked at once each; more than any job has.
constexpr size_t kMostRemembered = 10'000;

}  // namespace

void ArchitectureRunner::FindTies() {
  using Place = std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>;
  std::map<Place, std::vector<size_t>> by_place;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const at::Tensor& tensor = slots_[i].tensor;
    if (!slots_[i].parameter.defined() || tensor.numel() == 0) continue;
    by_place[{tensor.const_data_ptr(), tensor.sizes().vec(), tensor.strides().vec()}].push_back(i);
  }
  for (const auto& [place, tied] : by_place) {
    for (const size_t i : tied) {
      for (const size_t other : tied) {
        if (other != i) slots_[i].tied.push_back(other);
      }
      has_ties_ = has_ties_ || tied.size() > 1;
    }
  }
}

std::vector<std::vector<std::string>> ArchitectureRunner::ties() const {
  std::vector<std::vector<std::string>> ties;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].tied.empty() || slots_[i].tied[0] < i) continue;  // told with an earlier one
    std::vector<std::string>& names = ties.emplace_back();
    names.push_back(tensors_[i].name);
    for (const size_t other : slots_[i].tied) names.push_back(tensors_[other].name);
  }
  return ties;
}

bool ArchitectureRunner::HasTied(const Slot& slot, const std::vector<TensorInfo>& given) const {
  return std::any_of(slot.tied.begin(), slot.tied.end(), [&](size_t other) {
    return FindTensor(given, tensors_[other].name).has_value();
  });
}

absl::Status ArchitectureRunner::CheckTies(
    const std::shared_ptr<const StateDict>& ingredient) const {
  if (!has_ties_) return absl::OkStatus();
  const auto known = ties_checked_.find(ingredient.get());
  if (known != ties_checked_.end() && !known->second.expired()) return absl::OkStatus();
  const std::vector<TensorInfo>& given = ingredient->tensors();
  std::vector<char> scratch, other_scratch;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::optional<size_t> index = FindTensor(given, tensors_[i].name);
    if (slots_[i].tied.empty() || !index.has_value()) continue;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, ingredient->Read(*index, &scratch));
    for (const size_t other : slots_[i].tied) {
      const std::optional<size_t> twin = FindTensor(given, tensors_[other].name);
      if (other < i || !twin.has_value()) continue;
      ASSIGN_OR_RETURN(const absl::Span<const char> same, ingredient->Read(*twin, &other_scratch));
      if (bytes == same) continue;
      return TensorMismatch(tensors_[other].name,
                            absl::StrCat("differs from '", tensors_[i].name,
                                         "', and the architecture ties them: they are one tensor"));
    }
  }
  if (ties_checked_.size() > kMostRemembered) ties_checked_.clear();
  ties_checked_[ingredient.get()] = ingredient;
  return absl::OkStatus();
}

}  // namespace stockpot
