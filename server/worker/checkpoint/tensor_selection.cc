#include "server/worker/checkpoint/tensor_selection.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/name_pattern.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/state_dict_view.h"

namespace stockpot {
namespace {

class MemoryStateDict final : public StateDict {
 public:
  explicit MemoryStateDict(std::vector<TensorValue> values) {
    for (TensorValue& value : values) {
      tensors_.push_back(std::move(value.info));
      bytes_.push_back(std::move(value.bytes));
    }
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>*) const override {
    return absl::MakeConstSpan(bytes_[index]);
  }
  absl::string_view format() const override { return "memory"; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  std::vector<TensorInfo> tensors_;
  std::vector<std::vector<char>> bytes_;
  const std::vector<std::string> notes_;
};

std::shared_ptr<StateDictView> ViewOf(std::shared_ptr<const StateDict> first,
                                      std::shared_ptr<const StateDict> second) {
  std::string format(first->format());
  std::vector<std::string> notes = first->notes();
  std::vector<std::shared_ptr<const StateDict>> of = {std::move(first), std::move(second)};
  return std::make_shared<StateDictView>(std::move(of), std::move(format), std::move(notes));
}

}  // namespace

absl::Status CheckSelection(const TensorSelection& selection) {
  for (const std::string& pattern : selection.from_base) {
    if (selection.base == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensors ", Quote(pattern), " are to come from the base, but there is none"));
    }
    const std::vector<TensorInfo>& tensors = selection.base->tensors();
    if (std::none_of(tensors.begin(), tensors.end(), [&](const TensorInfo& tensor) {
          return MatchesPattern(pattern, tensor.name);
        })) {
      return absl::InvalidArgumentError(
          absl::StrCat("no tensor of the base is called ", Quote(pattern)));
    }
  }
  return absl::OkStatus();
}

std::shared_ptr<const StateDict> SelectTensors(std::shared_ptr<const StateDict> state_dict,
                                               const TensorSelection& selection) {
  if (selection.empty()) return state_dict;
  const auto view = ViewOf(state_dict, selection.base);
  const auto add = [&](const std::shared_ptr<const StateDict>& from, bool of_base) {
    for (size_t i = 0; i < from->tensors().size(); ++i) {
      const std::string& name = from->tensors()[i].name;
      if (MatchesAny(selection.excluded, name)) continue;
      if (MatchesAny(selection.from_base, name) == of_base) view->Add(from.get(), i, of_base);
    }
  };
  add(state_dict, /*of_base=*/false);
  if (!selection.from_base.empty()) add(selection.base, /*of_base=*/true);
  view->Sort().IgnoreError();  // no two have one name: what is taken from one hides it in the other
  return view;
}

std::shared_ptr<const StateDict> OverlayTensors(const std::shared_ptr<const StateDict>& under,
                                                const std::shared_ptr<const StateDict>& over) {
  const auto view = ViewOf(under, over);
  absl::flat_hash_set<absl::string_view> hidden;
  for (size_t i = 0; i < over->tensors().size(); ++i) {
    hidden.insert(over->tensors()[i].name);
    view->Add(over.get(), i, /*fixed=*/true);
  }
  for (size_t i = 0; i < under->tensors().size(); ++i) {
    if (!hidden.contains(under->tensors()[i].name)) view->Add(under.get(), i);
  }
  view->Sort().IgnoreError();  // as above
  return view;
}

std::shared_ptr<const StateDict> MakeStateDict(std::vector<TensorValue> tensors) {
  return std::make_shared<MemoryStateDict>(std::move(tensors));
}

}  // namespace stockpot
