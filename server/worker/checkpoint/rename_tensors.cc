#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/open_checkpoint.h"
#include "server/worker/checkpoint/state_dict_view.h"

namespace stockpot {

absl::StatusOr<std::shared_ptr<const StateDict>> RenameTensors(
    const std::shared_ptr<const StateDict>& state_dict,
    const std::function<std::string(const std::string&)>& rename,
    std::vector<std::string> added_notes) {
  std::vector<std::string> notes = state_dict->notes();
  for (std::string& note : added_notes) notes.push_back(std::move(note));
  const auto view =
      std::make_shared<StateDictView>(std::vector<std::shared_ptr<const StateDict>>{state_dict},
                                      std::string(state_dict->format()), std::move(notes));
  for (size_t i = 0; i < state_dict->tensors().size(); ++i) {
    std::string name = rename(state_dict->tensors()[i].name);
    if (name.empty()) continue;
    RETURN_IF_ERROR(CheckTensorName(name));
    view->AddAs(std::move(name), state_dict.get(), i);
  }
  RETURN_IF_ERROR(view->Sort());
  return view;
}

}  // namespace stockpot
