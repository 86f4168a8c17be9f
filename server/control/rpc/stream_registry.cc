#include "server/control/rpc/stream_registry.h"

#include <utility>

namespace stockpot {

void StreamRegistry::Add(const std::shared_ptr<Stream>& stream) {
  absl::Status ended;
  {
    absl::MutexLock lock(&mutex_);
    streams_[stream.get()] = stream;
    ended = ended_;
  }
  if (!ended.ok()) stream->End(ended);
}

void StreamRegistry::Remove(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void StreamRegistry::Tick(absl::Time now) {
  for (const std::shared_ptr<Stream>& stream : Snapshot()) stream->Tick(now);
}

void StreamRegistry::EndAll(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = status;
  }
  for (const std::shared_ptr<Stream>& stream : Snapshot()) stream->End(status);
}

size_t StreamRegistry::size() const {
  absl::MutexLock lock(&mutex_);
  return streams_.size();
}

std::vector<std::shared_ptr<Stream>> StreamRegistry::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Stream>> result;
  for (const auto& [key, weak] : streams_) {
    if (std::shared_ptr<Stream> stream = weak.lock()) result.push_back(std::move(stream));
  }
  return result;
}

}  // namespace stockpot
