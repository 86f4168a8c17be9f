// Which examples run together. Internal to evaluation/.
//
// Where inputs do not differ in length: as many as a batch holds, in the order of the run, in
// batches of one shape.
//
// Where they do, every example belongs to a group that only the data set and the batch size decide,
// never the order: all examples by length, a batch after another, of which neighbours are one group
// while padding stays below an eighth of it (or eight positions). A group has one shape, its
// longest example and as many rows as share its examples evenly, and its batches fill in the order
// of the run. So an example's outputs are of the same numerics class as elsewhere: the same bits
// for the same device, precision, batch size and data set, in whatever order and with whatever
// neighbours. Examples of models that have no mask (model_inputs.h) run with those of their own
// length only, and nothing is padded.
//
// What a batch would hold may be run a few examples at a time instead: fewer rows then, of the same
// groups.
//
// Thread safety: immutable. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_PLAN_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

class BatchPlan {
 public:
  struct Batch {
    absl::Span<const int64_t> examples;  // of this plan; at least one
    int64_t rows = 0;                    // of the batch: the last example is repeated
    int64_t length = 0;                  // positions of each; 0: examples do not differ
  };

  // The most rows of batches of this length (0: examples do not differ), of which `example` is one;
  // at least 1.
  using MostRows = absl::FunctionRef<int64_t(int64_t example, int64_t length)>;
  static int64_t AnyRows(int64_t /*example*/, int64_t /*length*/) {
    return std::numeric_limits<int64_t>::max();
  }

  // `order`: the examples to run, each once; empty: all, as they are. `batch_size` >= 1.
  BatchPlan(const DataSet& data_set, absl::Span<const int64_t> order, int64_t batch_size, bool pads,
            MostRows most_rows = AnyRows);
  BatchPlan(const BatchPlan&) = delete;  // batches view the order
  BatchPlan& operator=(const BatchPlan&) = delete;

  const std::vector<Batch>& batches() const { return batches_; }

 private:
  struct Group {
    int64_t rows = 0, length = 0;
  };

  // By example, the place of its group in `groups`.
  static std::vector<uint32_t> FindGroups(const DataSet& data_set, int64_t batch_size, bool pads,
                                          MostRows most_rows, std::vector<Group>* groups);
  void Fill(absl::Span<const int64_t> order, const std::vector<uint32_t>& group_of,
            const std::vector<Group>& groups);

  std::vector<int64_t> order_;
  std::vector<Batch> batches_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_PLAN_H_
