// What stays on a card from one task to the next, so that it is not copied there again: inputs of
// data sets and weights of ingredients. It is a copy of what files hold, and nothing but time is
// lost with it. Internal to evaluation/.
//
// Ownership: keeps the tensors, and what their key stands for. Thread safety: confined to one
// thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_RESIDENT_TENSORS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_RESIDENT_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace stockpot {

class ResidentTensors {
 public:
  using Tensors = std::vector<at::Tensor>;

  // At most so many bytes are kept; 0: nothing ever is.
  explicit ResidentTensors(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Null when there are none. What is found was used last.
  std::shared_ptr<const Tensors> Find(const std::string& key);
  // Whether so many bytes may be kept, and those go that were not used for longest to make room.
  bool MakeRoom(size_t bytes);
  // After MakeRoom of their bytes. `owner` lives as long as they are kept, so that a key made of
  // its address stands for nothing else.
  std::shared_ptr<const Tensors> Keep(std::string key, Tensors tensors,
                                      std::shared_ptr<const void> owner = nullptr);
  // Memory ran out: nothing is kept from now on.
  void GiveUp();

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const void> owner;
    std::shared_ptr<const Tensors> tensors;
    size_t bytes = 0;
  };

  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // the last used first; few enough to look through
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_RESIDENT_TENSORS_H_
