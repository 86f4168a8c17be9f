// A small map that forgets what was not used for longest. Found by comparing keys one after
// another: meant for at most some hundred entries. Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_LEAST_RECENTLY_USED_H_
#define STOCKPOT_SERVER_WORKER_SESSION_LEAST_RECENTLY_USED_H_

#include <cstddef>
#include <list>
#include <utility>

namespace stockpot {

template <typename Key, typename Value>
class LeastRecentlyUsed {
 public:
  explicit LeastRecentlyUsed(size_t capacity) : capacity_(capacity) {}

  // Null when not known. The pointer is good until the next Put().
  Value* Find(const Key& key) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!(entry->first == key)) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return &entries_.front().second;
    }
    return nullptr;
  }

  // Drops what is over the capacity before `value` is kept. Null is never returned.
  Value* Put(Key key, Value value) {
    Remove(key);
    MakeRoom();
    entries_.emplace_front(std::move(key), std::move(value));
    return &entries_.front().second;
  }

  void Remove(const Key& key) {
    entries_.remove_if([&key](const auto& entry) { return entry.first == key; });
  }

  void Clear() { entries_.clear(); }

  // Most recently used first.
  const std::list<std::pair<Key, Value>>& entries() const { return entries_; }

  // Makes room for one more, where a new value must not coexist with one too many old ones.
  void MakeRoom() {
    while (entries_.size() >= capacity_ && !entries_.empty()) entries_.pop_back();
  }

 private:
  const size_t capacity_;
  std::list<std::pair<Key, Value>> entries_;  // most recently used first
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_LEAST_RECENTLY_USED_H_
