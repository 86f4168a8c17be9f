#include "server/base/ordered_lanes.h"

#include <utility>

namespace stockpot {

void OrderedLanes::Work() {
  for (std::optional<size_t> piece = Begin(); piece.has_value(); piece = Begin()) {
    End(*piece, steps_.make(*piece));
  }
}

std::optional<size_t> OrderedLanes::Begin() {
  const absl::MutexLock lock(&mutex_, absl::Condition(this, &OrderedLanes::MayBegin));
  if (begun_ == end_) return std::nullopt;
  const size_t piece = begun_++;
  absl::Status status = steps_.begin(piece);
  if (status.ok()) return piece;
  Take(piece, std::move(status));
  return std::nullopt;
}

void OrderedLanes::End(size_t piece, absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  Take(piece, std::move(status));
}

void OrderedLanes::Take(size_t piece, absl::Status status) {
  if (!status.ok()) end_ = begun_;
  made_[piece % made_.size()] = std::move(status);
  while (result_.ok() && taken_ < begun_) {
    std::optional<absl::Status>& next = made_[taken_ % made_.size()];
    if (!next.has_value()) return;
    const absl::Status made = *std::exchange(next, std::nullopt);
    result_ = made.ok() ? steps_.take(taken_) : made;
    ++taken_;
  }
  if (!result_.ok()) end_ = begun_;
}

absl::Status OrderedLanes::result() const {
  const absl::MutexLock lock(&mutex_);
  return result_;
}

}  // namespace stockpot
