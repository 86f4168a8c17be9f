// Tensors of other state dicts, maybe under other names: what selections, shards and renaming are
// made of. Ownership: a view keeps what it is made of alive. Thread safety: immutable once it is
// shared.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_VIEW_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_VIEW_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

class StateDictView final : public StateDict {
 public:
  // `of` lives as long as the view.
  StateDictView(std::vector<std::shared_ptr<const StateDict>> of, std::string format,
                std::vector<std::string> notes)
      : of_(std::move(of)), format_(std::move(format)), notes_(std::move(notes)) {}

  // In any order; Sort() follows. `from` is one of `of`, or kept alive by it.
  void Add(const StateDict* from, size_t index, bool fixed = false);
  void AddAs(std::string name, const StateDict* from, size_t index);
  // INVALID_ARGUMENT (CHECKPOINT_INVALID) when two tensors have one name.
  absl::Status Sort();

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
  bool IsFixed(size_t index) const override { return sources_[index].fixed; }
  absl::string_view format() const override { return format_; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  struct Source {
    const StateDict* state_dict;
    size_t index;
    bool fixed;
  };

  const std::vector<std::shared_ptr<const StateDict>> of_;
  const std::string format_;
  const std::vector<std::string> notes_;
  std::vector<TensorInfo> tensors_;
  std::vector<Source> sources_;  // of tensors_, in the same order
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_VIEW_H_
