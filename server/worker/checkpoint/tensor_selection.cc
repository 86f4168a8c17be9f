#include "server/worker/checkpoint/tensor_selection.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/name_pattern.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

struct Source {
  const StateDict* state_dict;
  size_t index;
  bool fixed;
};

// Tensors of two state dicts, under their own names.
class StateDictView final : public StateDict {
 public:
  StateDictView(std::shared_ptr<const StateDict> under, std::shared_ptr<const StateDict> over)
      : under_(std::move(under)), over_(std::move(over)) {}

  // In any order; Sort() follows.
  void Add(const std::shared_ptr<const StateDict>& from, size_t index, bool fixed) {
    tensors_.push_back(from->tensors()[index]);
    sources_.push_back({from.get(), index, fixed || from->IsFixed(index)});
  }
  void Sort() {
    std::vector<size_t> order(tensors_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [this](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
    std::vector<TensorInfo> tensors;
    std::vector<Source> sources;
    for (const size_t i : order) {
      tensors.push_back(std::move(tensors_[i]));
      sources.push_back(sources_[i]);
    }
    tensors_ = std::move(tensors);
    sources_ = std::move(sources);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index,
                                              std::vector<char>* scratch) const override {
    return sources_[index].state_dict->Read(sources_[index].index, scratch);
  }
  absl::Status Copy(size_t index, size_t offset, absl::Span<char> out) const override {
    return sources_[index].state_dict->Copy(sources_[index].index, offset, out);
  }
  bool IsCopied(size_t index) const override {
    return sources_[index].state_dict->IsCopied(sources_[index].index);
  }
  absl::string_view format() const override { return under_->format(); }
  const std::vector<std::string>& notes() const override { return under_->notes(); }
  bool IsFixed(size_t index) const override { return sources_[index].fixed; }

 private:
  const std::shared_ptr<const StateDict> under_, over_;
  std::vector<TensorInfo> tensors_;
  std::vector<Source> sources_;  // of tensors_, in the same order
};

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
  const auto view = std::make_shared<StateDictView>(state_dict, selection.base);
  const auto add = [&](const std::shared_ptr<const StateDict>& from, bool of_base) {
    for (size_t i = 0; i < from->tensors().size(); ++i) {
      const std::string& name = from->tensors()[i].name;
      if (MatchesAny(selection.excluded, name)) continue;
      if (MatchesAny(selection.from_base, name) == of_base) view->Add(from, i, of_base);
    }
  };
  add(state_dict, /*of_base=*/false);
  if (!selection.from_base.empty()) add(selection.base, /*of_base=*/true);
  view->Sort();
  return view;
}

std::shared_ptr<const StateDict> OverlayTensors(const std::shared_ptr<const StateDict>& under,
                                                const std::shared_ptr<const StateDict>& over) {
  const auto view = std::make_shared<StateDictView>(under, over);
  absl::flat_hash_set<absl::string_view> hidden;
  for (size_t i = 0; i < over->tensors().size(); ++i) {
    hidden.insert(over->tensors()[i].name);
    view->Add(over, i, /*fixed=*/true);
  }
  for (size_t i = 0; i < under->tensors().size(); ++i) {
    if (!hidden.contains(under->tensors()[i].name)) view->Add(under, i, /*fixed=*/false);
  }
  view->Sort();
  return view;
}

std::shared_ptr<const StateDict> MakeStateDict(std::vector<TensorValue> tensors) {
  return std::make_shared<MemoryStateDict>(std::move(tensors));
}

}  // namespace stockpot
