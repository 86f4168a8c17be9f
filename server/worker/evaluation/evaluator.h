// worker/evaluation: runs a model over a data set and counts.
//
// A Runner holds one architecture (TorchScript or compiled) on one device; weights are swapped in
// by name. The evaluator feeds it batches of one fixed shape (the last one padded by repeating its
// last example), so that an example's result does not depend on how many examples there are; where
// examples differ in length, batches of a few shapes, so that it does not depend on their order
// (batch_plan.h). On a CPU each core runs batches of its own, of as many examples as its cache
// holds (batch_rows.h); not of a compiled program, whose shapes are the compiler's, nor of one that
// keeps something from call to call.
//
// Source: Wortsman et al. 2022, section 3; metrics: DESIGN.md section 4.
// Thread safety: confined to one thread (the worker's task thread).
// No torch type appears here: torch stays inside this folder's .cc files.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_EVALUATOR_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_EVALUATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/precision.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/evaluation/output_options.h"

namespace stockpot {

struct BatchNormOptions;  // batch_norm_options.h
struct LearnedEpoch;      // learning.h
struct LearningOptions;
struct TensorValue;  // server/worker/checkpoint/tensor_selection.h

// How one data-set input becomes one model argument.
struct InputBinding {
  std::string data_set_input;  // "images"
  std::string argument;        // of the model's forward(); empty: by position
  // Images: value / 255, then (value - mean[c]) / std[c] in float32, in this order. Empty: as
  // stored.
  bool scale_to_unit = false;
  std::vector<float> mean, std;  // one per channel
};

struct MeasureOptions {
  std::vector<InputBinding> inputs;
  OutputOptions outputs;
  int batch_size = 250;  // on a CPU at most: see the top
  Precision precision = Precision::kFloat32;
  bool channels_last = false;  // float inputs of four dimensions are laid so in memory
  // Which examples are run, in this order; lives until the run ends. Empty: all, in their order.
  // Those that differ in length are run as batch_plan.h says, which keeps to it within a group.
  absl::Span<const int64_t> order;
  // Called after each batch with the examples done; a non-OK result ends the run with it.
  std::function<absl::Status(int64_t examples_done)> progress;
};

// What a pass over a data set found. Counts are exact, sums are float64 in example order.
struct Measurement {
  int64_t example_count = 0;  // what was scored: of a language model the tokens that count

  // Of classification and language models.
  int64_t top1_correct = 0;
  int64_t top5_correct = 0;      // true class among the 5 largest; = example_count below 6 classes
  double cross_entropy_sum = 0;  // natural logarithm, from float32 logits in float64
  std::string correct_bits;      // bit i%8 of byte i/8: example i is top-1 correct
  std::vector<float> margins;    // true-class logit minus the largest other

  // Of classification, by class: examples that have it, for which it was predicted, and both.
  std::vector<int32_t> label_counts, predicted_counts, correct_counts;
  // Expected calibration errors: see calibration.h.
  double ece_equal_mass = 0, ece_equal_width = 0;

  // Of a set whose examples (of a language model: tokens) have weights: their sum, and those of
  // what is right. cross_entropy_sum and squared_error_sum are weighted then, all else is not.
  double weight_sum = 0, top1_weight = 0, top5_weight = 0;

  // Of regression.
  double squared_error_sum = 0;
  double pearson = 0, spearman = 0;  // see correlation.h
  std::vector<float> outputs;        // of each example
};

// What the model gives for the next examples, classes taken as the data set has them.
struct OutputBatch {
  int64_t first = 0, count = 0;  // examples, by their place in the order of the run
  // Which ones these are, where a model gave them; lives until the sink returns.
  absl::Span<const int64_t> examples;
  int64_t length = 1;   // of a language model: positions of an example
  int64_t classes = 1;  // 1 of regression; the same in all batches
  absl::Span<const float>
      values;  // row-major [count, length, classes]; lives until the sink returns
};

// A result that is not OK ends the run with it.
using OutputSink = std::function<absl::Status(const OutputBatch&)>;

struct DeviceInfo {
  std::string kind;      // "cpu" or "cuda"
  std::string name;      // processor or card, for people
  std::string numerics;  // what results depend on: device kind, LibTorch version, precision
};

class Runner {
 public:
  // Loads the TorchScript module or AOTInductor package at `path` onto `device` ("cpu", "cuda",
  // "cuda:1", "auto": a GPU where its libraries and a card are found, or "auto:N": the Nth card,
  // counted round). A package is machine code, which runs as this process: only where it
  // `may_be_compiled`. It has no BatchNorm layers to gather for, no gradients to learn by, and the
  // precision that it was compiled in; inputs of shapes that it was not compiled for are refused.
  // Errors: NOT_FOUND; INVALID_ARGUMENT (neither of the two; reason ARCHITECTURE_INVALID);
  // PERMISSION_DENIED (ARCHITECTURE_NOT_ALLOWED) a package that may not be; FAILED_PRECONDITION
  // (ARCHITECTURE_INVALID) one for another device; RESOURCE_EXHAUSTED (reason OUT_OF_MEMORY); those
  // of ProbeDevice.
  static absl::StatusOr<std::unique_ptr<Runner>> Load(const std::string& path,
                                                      const std::string& device,
                                                      bool may_be_compiled = false);
  virtual ~Runner() = default;

  // Parameters and buffers, sorted by name: what a checkpoint has to bring. Non-persistent ones
  // cannot be told apart in TorchScript and are listed too.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  virtual const DeviceInfo& device() const = 0;

  // Names of tensors() that are buffers: a checkpoint may leave them out, and then they keep the
  // architecture's own values.
  virtual const std::vector<std::string>& buffers() const = 0;

  // BatchNorm modules whose statistics can be gathered anew, by name.
  virtual const std::vector<std::string>& batch_norms() const = 0;
  // Names of parameters that are one tensor, such as an embedding and the head that it is tied to:
  // a checkpoint needs to have one of each group, and the same under several.
  virtual std::vector<std::vector<std::string>> ties() const = 0;

  // Parameters whose names match one of `patterns` (name_pattern.h), and no others, may be missing
  // from now on, as buffers may; they keep the architecture's own values. False when those were
  // overwritten before: the architecture must be loaded again.
  virtual bool AllowMissing(const std::vector<std::string>& patterns) = 0;

  // Writes the blend straight into the module's parameters and buffers (worker/soup's canonical
  // arithmetic, rounded to `dtype` as BlendTensor does, then converted to the module's dtype where
  // that differs). The ingredients agree with each other (CheckCompatible) and with tensors() in
  // name and shape, except that buffers, and what AllowMissing says, may be missing. `coefficients`
  // are those of CheckCoefficients. Errors: INVALID_ARGUMENT (reason CHECKPOINT_MISMATCH, metadata
  // tensor); DATA_LOSS from reading; RESOURCE_EXHAUSTED (reason OUT_OF_MEMORY).
  virtual absl::Status SetWeights(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                                  absl::Span<const double> coefficients,
                                  std::optional<DType> dtype) = 0;

  // Runs all of `data_set`, or options.order, and gives `sink` what comes out, in that order, or
  // that of batch_plan.h.
  // Errors: INVALID_ARGUMENT inputs, outputs or class subset do not fit (reason
  // MODEL_INPUT_MISMATCH, MODEL_OUTPUT_MISMATCH, DATA_SET_INVALID); INTERNAL the model threw
  // (MODEL_FAILED) or broke the card's context (DEVICE_LOST: this process must end);
  // RESOURCE_EXHAUSTED (reason OUT_OF_MEMORY); FAILED_PRECONDITION (reason PRECISION_UNSUPPORTED,
  // CHANNELS_LAST_UNSUPPORTED) the device or the architecture cannot compute so; what `sink` and
  // options.progress gave. On a card one batch more than what `sink` was given has begun when it
  // ends a run; on a CPU some for each core. `sink` and options.progress are called by one thread
  // at a time, which may be another one each time.
  virtual absl::Status Run(const DataSet& data_set, const MeasureOptions& options,
                           const OutputSink& sink) = 0;

  // Scores a run. Errors: also those of Metrics (metrics.h).
  absl::StatusOr<Measurement> Measure(const DataSet& data_set, const MeasureOptions& options);

  // The statistics that BatchNorm layers gather with the weights that are set, by name:
  // running_mean, running_var, and num_batches_tracked where there is one, of each of batch_norms()
  // that runs. The weights must be set again after. Errors: as Measure; UNIMPLEMENTED a layer runs
  // twice for a batch.
  virtual absl::StatusOr<std::vector<TensorValue>> GatherBatchNorm(
      const DataSet& data_set, const BatchNormOptions& options) = 0;

  // One epoch of the learned soup of `ingredients`, which are as for SetWeights: see learning.h.
  // The weights must be set again after. Errors: as SetWeights and Measure; INVALID_ARGUMENT those
  // of CoefficientLearner, or an inverse temperature that is no longer above 0; DATA_LOSS (reason
  // NON_FINITE_OUTPUT) the loss or its gradient is not finite.
  virtual absl::StatusOr<LearnedEpoch> LearnEpoch(
      absl::Span<const std::shared_ptr<const StateDict>> ingredients, const DataSet& data_set,
      const LearningOptions& options) = 0;
};

// How many threads this process computes with on the CPU; 0: one per core. Call it before anything
// else here, from the thread that starts all others. The number is not part of
// DeviceInfo::numerics: matrix products, convolutions, attention, norms and per-example reductions
// give the same bits with any number of threads (measured with 1, 2, 3, 4 and 8); only a sum over a
// whole batch does not: a classifier has none, and where there are some (learning, BatchNorm
// statistics) the number is fixed.
void SetComputeThreads(int count);

// Gives back to the card and to the system what this process keeps of freed memory for its next
// use: after memory ran out.
void ReleaseUnusedMemory();

// What this process can run on, without loading a model. Of kNoDevice it is the kind alone; a
// runner on it is FAILED_PRECONDITION.
// Errors: INVALID_ARGUMENT an unknown device; FAILED_PRECONDITION there is no such device here.
absl::StatusOr<DeviceInfo> ProbeDevice(const std::string& device);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_EVALUATOR_H_
