#include "server/worker/checkpoint/state_dict_view.h"

#include <algorithm>

#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {

void StateDictView::Add(const StateDict* from, size_t index, bool fixed) {
  tensors_.push_back(from->tensors()[index]);
  sources_.push_back({from, index, fixed || from->IsFixed(index)});
}

void StateDictView::AddAs(std::string name, const StateDict* from, size_t index) {
  Add(from, index);
  tensors_.back().name = std::move(name);
}

absl::Status StateDictView::Sort() {
  std::vector<size_t> order(tensors_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [this](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
  std::vector<TensorInfo> tensors;
  std::vector<Source> sources;
  for (const size_t i : order) {
    if (!tensors.empty() && tensors.back().name == tensors_[i].name) {
      return AtTensor(tensors_[i].name, InvalidCheckpoint("is named twice"));
    }
    tensors.push_back(std::move(tensors_[i]));
    sources.push_back(sources_[i]);
  }
  tensors_ = std::move(tensors);
  sources_ = std::move(sources);
  return absl::OkStatus();
}

}  // namespace stockpot
