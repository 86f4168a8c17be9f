// An epoch of learning on an architecture: see learning.h.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/architecture_runner.h"
#include "server/worker/evaluation/example_batch.h"
#include "server/worker/evaluation/fixed_threads.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/learning.h"
#include "server/worker/evaluation/learning_loss.h"
#include "server/worker/evaluation/logits.h"
#include "server/worker/evaluation/output_mapping.h"
#include "server/worker/evaluation/vector_registers.h"
#include "server/worker/soup/example_order.h"
#include "server/worker/soup/inner_products.h"

namespace stockpot {
namespace {

// Float32 keeps what ingredients in fewer bits add up to; the soup is rounded when it is measured.
std::optional<DType> LearningDType(DType stored) {
  return stored == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

// The module's parameters ask for gradients while this lives.
class GradientsWanted {
 public:
  explicit GradientsWanted(std::vector<at::Tensor> parameters)
      : parameters_(std::move(parameters)) {
    for (const at::Tensor& parameter : parameters_) parameter.requires_grad_(true);
  }
  ~GradientsWanted() {
    for (const at::Tensor& parameter : parameters_) parameter.requires_grad_(false);
  }
  GradientsWanted(const GradientsWanted&) = delete;
  GradientsWanted& operator=(const GradientsWanted&) = delete;

  const std::vector<at::Tensor>& parameters() const { return parameters_; }

 private:
  const std::vector<at::Tensor> parameters_;
};

}  // namespace

class LearningPass {
 public:
  LearningPass(ArchitectureRunner* runner, ArchitectureRunner::Ingredients ingredients,
               const DataSet& data_set, const LearningOptions& options)
      : runner_(*runner), ingredients_(ingredients), data_set_(data_set), options_(options) {}

  absl::StatusOr<LearnedEpoch> Run() {
    FindLearnable();
    ASSIGN_OR_RETURN(CoefficientLearner learner, MakeLearner());
    std::vector<at::Tensor> parameters;
    for (const Learnable& learnable : learnable_) parameters.push_back(learnable.parameter);
    const GradientsWanted wanted(std::move(parameters));
    ASSIGN_OR_RETURN(const double mean_loss, TakeSteps(wanted.parameters(), &learner));
    learner.EndEpoch();
    const double temperature = 1 / learner.inverse_temperature();
    if (!(temperature > 0) || !std::isfinite(temperature)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the learned inverse temperature became ", learner.inverse_temperature(),
                       ": a lower learning_rate or fixed_temperature helps"));
    }
    return LearnedEpoch{learner.State(), ForTwins(learner.Coefficients()), temperature, mean_loss};
  }

 private:
  // A parameter whose gradient moves coefficients.
  struct Learnable {
    at::Tensor parameter;       // the module's own
    size_t index = 0;           // of the ingredients' tensor that it was written from
    std::vector<size_t> twins;  // of those that are tied to it
  };

  const std::vector<TensorInfo>& tensors() const { return ingredients_[0]->tensors(); }

  // Tied tensors get the coefficients of the one that was learned: in the soup they stay one.
  std::vector<double> ForTwins(std::vector<double> coefficients) const {
    if (!options_.per_tensor) return coefficients;
    for (const Learnable& learnable : learnable_) {
      for (size_t k = 0; k < ingredients_.size(); ++k) {
        double* const own = coefficients.data() + k * tensors().size();
        for (const size_t twin : learnable.twins) own[twin] = own[learnable.index];
      }
    }
    return coefficients;
  }

  void FindLearnable() {
    using Storage = std::pair<const void*, std::vector<int64_t>>;
    const auto storage_of = [](const at::Tensor& tensor) {
      return Storage(tensor.const_data_ptr(), tensor.sizes().vec());
    };
    // One that the module has under several names holds what the last of them was given.
    std::map<Storage, std::vector<size_t>> written_from;
    const auto& slots = runner_.slots_;
    for (size_t i = 0; i < slots.size(); ++i) {
      const std::optional<size_t> index = FindTensor(tensors(), runner_.tensors_[i].name);
      if (index.has_value()) written_from[storage_of(slots[i].tensor)].push_back(*index);
    }
    std::set<const void*> seen;
    for (const auto& slot : slots) {
      if (!slot.parameter.defined() || !slot.parameter.is_floating_point()) continue;
      const auto from = written_from.find(storage_of(slot.tensor));
      if (from == written_from.end()) continue;
      std::vector<size_t> twins = from->second;
      const size_t index = twins.back();
      twins.pop_back();
      if (!IsFloatingPoint(tensors()[index].dtype) || ingredients_[0]->IsFixed(index)) continue;
      if (!seen.insert(slot.parameter.unsafeGetTensorImpl()).second) continue;
      learnable_.push_back({slot.parameter, index, std::move(twins)});
    }
  }

  absl::StatusOr<CoefficientLearner> MakeLearner() const {
    CoefficientLearner::Options options;
    options.constraint = options_.constraint;
    options.learning_rate = options_.learning_rate;
    options.weight_decay = options_.weight_decay;
    options.fixed_temperature =
        options_.fixed_temperature || options_.outputs.problem == Problem::kRegression;
    options.ingredients = ingredients_.size();
    options.learnable.assign(options_.per_tensor ? tensors().size() : 1, false);
    for (const Learnable& learnable : learnable_) options.learnable[Column(learnable)] = true;
    if (learnable_.empty()) {
      return absl::InvalidArgumentError("no parameter of the model comes from the ingredients");
    }
    if (options_.epoch == 0) return CoefficientLearner::Start(std::move(options));
    auto learner = CoefficientLearner::Resume(std::move(options), options_.state);
    if (!learner.ok() || learner->epochs() == options_.epoch) return learner;
    return absl::InvalidArgumentError(absl::StrCat(
        "epoch ", options_.epoch, " cannot follow a state after ", learner->epochs(), " epochs"));
  }

  size_t Column(const Learnable& learnable) const {
    return options_.per_tensor ? learnable.index : 0;
  }

  // The mean of the losses.
  absl::StatusOr<double> TakeSteps(const std::vector<at::Tensor>& parameters,
                                   CoefficientLearner* learner) {
    ExampleBatch batch(data_set_);
    ASSIGN_OR_RETURN(const ModelInputs inputs,
                     ModelInputs::Create(runner_.architecture_->schema(), batch, options_.inputs,
                                         runner_.device_));
    RETURN_IF_ERROR(inputs.CheckMixes());
    ASSIGN_OR_RETURN(const OutputMapping mapping,
                     OutputMapping::Create(options_.outputs, runner_.device_));
    const std::vector<int64_t> order =
        ExampleOrder(data_set_.size(), options_.seed, static_cast<uint64_t>(options_.epoch));
    const auto batch_size = static_cast<size_t>(options_.batch_size);
    double loss_sum = 0;
    int64_t steps = 0;
    for (size_t first = 0; first < order.size(); first += batch_size) {
      RETURN_IF_ERROR(batch.Pick(absl::MakeConstSpan(order).subspan(first, batch_size)));
      const auto loss = TakeStep(inputs, mapping, batch, parameters, learner);
      if (!loss.ok()) {
        return Annotate(loss.status(), absl::StrCat("model given ", inputs.Describe(batch.size())));
      }
      if (loss->has_value()) loss_sum += **loss, ++steps;
      const auto done = static_cast<int64_t>(first) + batch.size();
      if (options_.progress) RETURN_IF_ERROR(options_.progress(done));
    }
    RETURN_IF_ERROR(data_set_.CheckUnchanged());
    return steps == 0 ? 0.0 : loss_sum / static_cast<double>(steps);
  }

  // The loss before the step; none, and no step, where no token counts.
  absl::StatusOr<std::optional<double>> TakeStep(const ModelInputs& inputs,
                                                 const OutputMapping& mapping, const DataSet& batch,
                                                 const std::vector<at::Tensor>& parameters,
                                                 CoefficientLearner* learner) {
    const std::vector<double> coefficients = learner->Coefficients();
    RETURN_IF_ERROR(runner_.WriteBlend(ingredients_, coefficients, LearningDType));
    at::Tensor beta = torch::scalar_tensor(learner->inverse_temperature(), torch::kFloat64);
    beta.requires_grad_(true);
    std::vector<int64_t> examples(static_cast<size_t>(batch.size()));
    std::iota(examples.begin(), examples.end(), 0);
    Arguments arguments = inputs.Batch(examples, batch.size());
    const c10::IValue output = runner_.architecture_->Forward(std::move(arguments));
    ASSIGN_OR_RETURN(const at::Tensor logits,
                     FindLogits(output, batch.size(), options_.outputs.problem, mapping));
    ASSIGN_OR_RETURN(const at::Tensor loss,
                     LearningLoss(options_.outputs.problem, logits, beta, batch));
    if (!loss.defined()) return std::optional<double>();

    std::vector<at::Tensor> wanted = parameters;
    wanted.push_back(beta);
    const std::vector<at::Tensor> gradients =
        torch::autograd::grad({loss}, wanted, /*grad_outputs=*/{}, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    ASSIGN_OR_RETURN(const std::vector<double> slopes,
                     CoefficientGradient(gradients, coefficients.size()));
    const at::Tensor& of_beta = gradients.back();
    learner->Step(slopes, of_beta.defined() ? of_beta.item<double>() : 0.0);
    return std::optional<double>(loss.item<double>());
  }

  // dL/dα from dL/dθ of learnable_, in that order.
  absl::StatusOr<std::vector<double>> CoefficientGradient(const std::vector<at::Tensor>& gradients,
                                                          size_t coefficient_count) const {
    std::vector<double> slopes(coefficient_count, 0.0);
    const size_t columns = coefficient_count / ingredients_.size();
    for (size_t p = 0; p < learnable_.size(); ++p) {
      if (!gradients[p].defined()) continue;  // forward() does not use it
      const at::Tensor gradient = gradients[p].to(torch::kCPU, torch::kFloat32).contiguous();
      ClearUpperVectorRegisters();  // the copy from a card may have left them in use
      const absl::Span<const float> slope(gradient.const_data_ptr<float>(),
                                          static_cast<size_t>(gradient.numel()));
      for (size_t i = 0; i < ingredients_.size(); ++i) {
        ASSIGN_OR_RETURN(const double product,
                         InnerProduct(*ingredients_[i], learnable_[p].index, slope));
        slopes[i * columns + Column(learnable_[p])] += product;
      }
    }
    for (const double slope : slopes) {
      if (std::isfinite(slope)) continue;
      return WithReason(absl::DataLossError("the gradient is not finite"), "NON_FINITE_OUTPUT");
    }
    return slopes;
  }

  ArchitectureRunner& runner_;
  const ArchitectureRunner::Ingredients ingredients_;
  const DataSet& data_set_;
  const LearningOptions& options_;
  std::vector<Learnable> learnable_;
};

absl::StatusOr<LearnedEpoch> ArchitectureRunner::LearnEpoch(Ingredients ingredients,
                                                            const DataSet& data_set,
                                                            const LearningOptions& options) {
  if (options.batch_size < 1) return absl::InvalidArgumentError("the batch size must be positive");
  if (architecture_->module() == nullptr) {
    return InvalidArchitecture(
        "a compiled architecture has no gradients to learn coefficients by: give the TorchScript "
        "one");
  }
  RETURN_IF_ERROR(CheckBlend(ingredients, {}));
  return Guard("learning coefficients", [&] {
    const FixedThreads threads;
    return LearningPass(this, ingredients, data_set, options).Run();
  });
}

}  // namespace stockpot
