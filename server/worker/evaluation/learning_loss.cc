#include "server/worker/evaluation/learning_loss.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::Status CheckCount(size_t labels, int64_t expected) {
  if (static_cast<int64_t>(labels) == expected) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat("the model gives logits for ", expected,
                                                            " labels, there are ", labels)),
                    "MODEL_OUTPUT_MISMATCH");
}

absl::StatusOr<at::Tensor> CrossEntropy(const at::Tensor& logits, const DataSet& batch,
                                        bool tokens) {
  const int64_t classes = logits.size(-1);
  const at::Tensor rows = logits.reshape({-1, classes});
  const absl::Span<const int64_t> labels = batch.labels();
  RETURN_IF_ERROR(CheckCount(labels.size(), rows.size(0)));
  bool any = false;
  for (const int64_t label : labels) {
    if (tokens && label == kIgnoredToken) continue;
    any = true;
    if (label >= 0 && label < classes) continue;
    return WithReason(absl::InvalidArgumentError(
                          absl::StrCat("label ", label, " is not among the ", classes, " logits")),
                      "LABEL_OUT_OF_RANGE");
  }
  if (!any) return at::Tensor();
  const at::Tensor target =
      torch::tensor(std::vector<int64_t>(labels.begin(), labels.end()), torch::kInt64)
          .to(rows.device());
  return at::cross_entropy_loss(rows, target, {}, at::Reduction::Mean, kIgnoredToken);
}

absl::StatusOr<at::Tensor> SquaredError(const at::Tensor& outputs, const DataSet& batch) {
  std::vector<double> numbers(batch.targets().begin(), batch.targets().end());
  if (numbers.empty()) numbers.assign(batch.labels().begin(), batch.labels().end());
  RETURN_IF_ERROR(CheckCount(numbers.size(), outputs.numel()));
  const at::Tensor target = torch::tensor(numbers, torch::kFloat64).to(outputs.device());
  return at::mse_loss(outputs.reshape({-1}), target);
}

}  // namespace

absl::StatusOr<at::Tensor> LearningLoss(Problem problem, const at::Tensor& logits,
                                        const at::Tensor& inverse_temperature,
                                        const DataSet& batch) {
  const at::Tensor exact = logits.to(torch::kFloat64);
  auto loss = problem == Problem::kRegression
                  ? SquaredError(exact, batch)
                  : CrossEntropy(exact * inverse_temperature.to(exact.device()), batch,
                                 problem == Problem::kLanguageModel);
  if (!loss.ok() || !loss->defined() || loss->isfinite().item<bool>()) return loss;
  return WithReason(absl::DataLossError("the loss is not finite"), "NON_FINITE_OUTPUT");
}

}  // namespace stockpot
