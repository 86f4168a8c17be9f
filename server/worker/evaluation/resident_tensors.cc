#include "server/worker/evaluation/resident_tensors.h"

#include <algorithm>
#include <utility>

namespace stockpot {

std::shared_ptr<const ResidentTensors::Tensors> ResidentTensors::Find(const std::string& key) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->tensors;
}

bool ResidentTensors::MakeRoom(size_t bytes) {
  if (bytes > max_bytes_) return false;
  while (bytes_ > max_bytes_ - bytes) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  return true;
}

std::shared_ptr<const ResidentTensors::Tensors> ResidentTensors::Keep(
    std::string key, Tensors tensors, std::shared_ptr<const void> owner) {
  Entry entry{std::move(key), std::move(owner), nullptr};
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) entry.bytes += tensor.nbytes();
  }
  entry.tensors = std::make_shared<const Tensors>(std::move(tensors));
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  return entries_.front().tensors;
}

void ResidentTensors::GiveUp() {
  max_bytes_ = 0;
  bytes_ = 0;
  entries_.clear();
}

}  // namespace stockpot
