#include "server/worker/evaluation/batch_plan.h"

#include <algorithm>
#include <numeric>

namespace stockpot {
namespace {

constexpr int64_t kPaddedPositions = 8;
constexpr int64_t kPaddedShare = 8;  // one of so many

int64_t LongestBeside(int64_t shortest) {
  return shortest + std::max(kPaddedPositions, shortest / kPaddedShare);
}

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

std::vector<int64_t> AllExamples(const DataSet& data_set) {
  std::vector<int64_t> all(static_cast<size_t>(data_set.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

BatchPlan::BatchPlan(const DataSet& data_set, absl::Span<const int64_t> order, int64_t batch_size,
                     bool pads, MostRows most_rows) {
  const std::vector<int64_t> all = order.empty() ? AllExamples(data_set) : std::vector<int64_t>();
  if (order.empty()) order = all;
  if (order.empty()) return;
  if (data_set.length(0) > 0) {
    std::vector<Group> groups;
    const std::vector<uint32_t> group_of =
        FindGroups(data_set, batch_size, pads, most_rows, &groups);
    Fill(order, group_of, groups);
    return;
  }
  order_.assign(order.begin(), order.end());
  batch_size = std::min(batch_size, most_rows(/*example=*/0, /*length=*/0));
  for (size_t first = 0; first < order_.size(); first += static_cast<size_t>(batch_size)) {
    batches_.push_back({absl::MakeConstSpan(order_).subspan(first, static_cast<size_t>(batch_size)),
                        batch_size, /*length=*/0});
  }
}

std::vector<uint32_t> BatchPlan::FindGroups(const DataSet& data_set, int64_t batch_size, bool pads,
                                            MostRows most_rows, std::vector<Group>* groups) {
  std::vector<int64_t> by_length = AllExamples(data_set);
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](int64_t a, int64_t b) { return data_set.length(a) < data_set.length(b); });
  const auto length_at = [&](size_t i) { return data_set.length(by_length[i]); };
  const size_t step = pads ? static_cast<size_t>(batch_size) : 1;
  std::vector<uint32_t> group_of(by_length.size());
  for (size_t first = 0; first < by_length.size();) {
    const int64_t longest = pads ? LongestBeside(length_at(first)) : length_at(first);
    size_t end = std::min(first + step, by_length.size());
    while (end < by_length.size()) {
      const size_t next = std::min(end + step, by_length.size());
      if (length_at(next - 1) > longest) break;
      end = next;
    }
    const auto count = static_cast<int64_t>(end - first);
    const int64_t most = std::min(batch_size, most_rows(by_length[first], length_at(end - 1)));
    const int64_t rows = DivideUp(count, DivideUp(count, most));
    for (size_t i = first; i < end; ++i) {
      group_of[static_cast<size_t>(by_length[i])] = static_cast<uint32_t>(groups->size());
    }
    groups->push_back({rows, length_at(end - 1)});
    first = end;
  }
  return group_of;
}

void BatchPlan::Fill(absl::Span<const int64_t> order, const std::vector<uint32_t>& group_of,
                     const std::vector<Group>& groups) {
  std::vector<std::vector<int64_t>> waiting(groups.size());
  order_.reserve(order.size());  // so that views of it stay good
  const auto emit = [&](size_t group) {
    const size_t first = order_.size();
    order_.insert(order_.end(), waiting[group].begin(), waiting[group].end());
    waiting[group].clear();
    batches_.push_back(
        {absl::MakeConstSpan(order_).subspan(first), groups[group].rows, groups[group].length});
  };
  for (const int64_t example : order) {
    const size_t group = group_of[static_cast<size_t>(example)];
    waiting[group].push_back(example);
    if (static_cast<int64_t>(waiting[group].size()) == groups[group].rows) emit(group);
  }
  for (size_t group = 0; group < groups.size(); ++group) {
    if (!waiting[group].empty()) emit(group);
  }
}

}  // namespace stockpot
