// A Runner over an Architecture. Internal to evaluation/: see evaluator.h.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_RUNNER_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_RUNNER_H_

#include <c10/core/Event.h>

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/worker/evaluation/architecture.h"
#include "server/worker/evaluation/batch_plan.h"
#include "server/worker/evaluation/device_blend.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/model_inputs.h"
#include "server/worker/evaluation/output_mapping.h"
#include "server/worker/evaluation/resident_tensors.h"
#include "server/worker/soup/running_sums.h"

namespace stockpot {

class ArchitectureRunner final : public Runner {
 public:
  static absl::StatusOr<std::unique_ptr<Runner>> Create(std::unique_ptr<Architecture> architecture,
                                                        c10::Device device);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const DeviceInfo& device() const override { return device_info_; }
  const std::vector<std::string>& buffers() const override { return buffers_; }

  const std::vector<std::string>& batch_norms() const override { return batch_norms_; }
  std::vector<std::vector<std::string>> ties() const override;
  bool AllowMissing(const std::vector<std::string>& patterns) override;
  absl::Status SetWeights(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                          absl::Span<const double> coefficients,
                          std::optional<DType> dtype) override;
  // In architecture_run.cc, with all that it calls.
  absl::Status Run(const DataSet& data_set, const MeasureOptions& options,
                   const OutputSink& sink) override;
  // In architecture_batch_norm.cc.
  absl::StatusOr<std::vector<TensorValue>> GatherBatchNorm(
      const DataSet& data_set, const BatchNormOptions& options) override;
  // In architecture_learning.cc.
  absl::StatusOr<LearnedEpoch> LearnEpoch(
      absl::Span<const std::shared_ptr<const StateDict>> ingredients, const DataSet& data_set,
      const LearningOptions& options) override;

 private:
  friend class LearningPass;

  using Ingredients = absl::Span<const std::shared_ptr<const StateDict>>;
  using DTypeOf = std::function<std::optional<DType>(DType stored)>;

  struct Slot {
    at::Tensor tensor;     // the program's own, detached
    at::Tensor parameter;  // the program's own; undefined: it is a buffer
    at::Tensor original;   // the architecture's own values, where they may be asked for again
    bool may_be_missing = false;
    bool overwritten = false;
    std::vector<size_t> tied;  // other slots of the same tensor
  };

  // What a run has come to.
  struct RunState {
    int64_t next = 0;  // the first example, by its place in the order, that the sink was not given
    OutputBatch batch{.examples = {}, .classes = 0, .values = {}};
    bool handing_on = false;
  };
  // A batch that runs, or has run.
  struct Launched {
    absl::Span<const int64_t> examples;
    at::Tensor logits;               // in memory; of a card's batch once it is done
    std::optional<c10::Event> done;  // none: it is done
  };
  // What a run is made of.
  struct Pass {
    const DataSet& data_set;
    const ModelInputs& inputs;
    const OutputMapping& mapping;
    const MeasureOptions& options;
    const OutputSink& sink;
  };
  // How examples are run a few at a time on a CPU (batch_rows.h).
  struct Cut {
    int64_t rows = std::numeric_limits<int64_t>::max();  // at most
    int64_t bytes_of_one = 0;                            // example; 0: it is not run so
  };

  ArchitectureRunner(std::unique_ptr<Architecture> architecture, c10::Device device);
  absl::Status ReadSlots();
  absl::Status AddSlot(const std::string& name, const at::Tensor& tensor, bool is_buffer);
  static absl::Status TensorMismatch(const std::string& tensor, absl::string_view what);
  // Which parameters are one tensor under several names. These in architecture_ties.cc.
  void FindTies();
  bool HasTied(const Slot& slot, const std::vector<TensorInfo>& given) const;
  // What the architecture has once, a checkpoint with several names must have the same under each.
  absl::Status CheckTies(const std::shared_ptr<const StateDict>& ingredient) const;
  absl::Status CheckNames(const std::vector<TensorInfo>& given) const;
  absl::Status CheckBlend(Ingredients ingredients, absl::Span<const double> coefficients) const;
  // Of a blend that CheckBlend held for.
  absl::Status WriteBlend(Ingredients ingredients, absl::Span<const double> coefficients,
                          const DTypeOf& dtype_of);
  absl::Status WriteSlots(Ingredients ingredients, absl::Span<const double> coefficients,
                          const DTypeOf& dtype_of);
  // Sums in memory what LibTorch's operators would give other bits for.
  absl::Status Write(Ingredients ingredients, absl::Span<const double> coefficients, size_t index,
                     std::optional<DType> dtype, at::Tensor* target);
  absl::Status RunBatches(const DataSet& data_set, const MeasureOptions& options,
                          const OutputSink& sink, RunState* state);
  static Arguments ArgumentsOf(const BatchPlan::Batch& batch, const Pass& pass) {
    return pass.inputs.Batch(batch.examples, batch.rows, batch.length);
  }
  // Begins the batch; on a card it runs on when this returns.
  absl::StatusOr<Launched> Launch(const BatchPlan::Batch& batch, Arguments arguments,
                                  const Pass& pass) const;
  // Waits for its outputs and hands them on.
  absl::Status Finish(const Launched& launched, const Pass& pass, RunState* state);
  // These in architecture_lanes.cc. Several batches at once, each on one thread.
  absl::Status RunInLanes(const Pass& pass, const BatchPlan& plan, int lanes, RunState* state);
  // For batches of this length, of which `example` is one.
  Cut CutFor(const Pass& pass, int64_t example, int64_t length);
  Cut MeasureCut(const Pass& pass, int64_t example, int64_t length) const;
  // How many batches run at once where the largest takes so many bytes (0: it is not known). 1: one
  // at a time, on all threads.
  static int LanesFor(const BatchPlan& plan, int64_t most_bytes);
  // Logits as FindLogits() gives them, on the device.
  absl::StatusOr<at::Tensor> Forward(Arguments arguments, int64_t rows, const Pass& pass) const;
  absl::StatusOr<std::vector<TensorValue>> GatherBatches(const DataSet& data_set,
                                                         const BatchNormOptions& options);
  // After memory ran out: whether a part of it was taken by what only saves time, and is free now.
  bool GiveUpResident();

  const std::unique_ptr<Architecture> architecture_;
  const c10::Device device_;
  const DeviceInfo device_info_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::string> buffers_;
  std::vector<std::string> batch_norms_;
  std::vector<Slot> slots_;  // of tensors_, in the same order
  bool has_ties_ = false;
  int64_t weight_bytes_ = 0;
  std::map<std::string, Cut> cuts_;  // by what they depend on
  // Checkpoints that CheckTies held for, as long as they live.
  mutable std::map<const StateDict*, std::weak_ptr<const StateDict>> ties_checked_;
  RunningSums sums_;  // of the tensors that the last checkpoints had
  // Of a card; elsewhere nothing is resident.
  ResidentTensors resident_;
  std::optional<DeviceBlend> device_blend_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_ARCHITECTURE_RUNNER_H_
