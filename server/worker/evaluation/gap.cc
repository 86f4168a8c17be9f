#include "server/worker/evaluation/gap.h"

#include <cmath>
#include <vector>

#include "server/worker/evaluation/softmax.h"

namespace stockpot {
namespace {

// Var_{Y ~ softmax(scale · soup)}[second_Y − first_Y], in two passes so that nothing cancels.
double Variance(absl::Span<const float> soup, absl::Span<const float> first,
                absl::Span<const float> second, double scale) {
  const SoftmaxSums sums = SumSoftmax(soup, scale);
  const double largest = soup[sums.largest];
  std::vector<double> probabilities(soup.size()), differences(soup.size());
  double mean = 0;
  for (size_t y = 0; y < soup.size(); ++y) {
    probabilities[y] = std::exp((soup[y] - largest) * scale) / sums.partition;
    if (probabilities[y] == 0) continue;  // a class that cannot be may have infinite logits
    differences[y] = static_cast<double>(second[y]) - first[y];
    mean += probabilities[y] * differences[y];
  }
  double variance = 0;
  for (size_t y = 0; y < soup.size(); ++y) {
    const double deviation = differences[y] - mean;
    variance += probabilities[y] * deviation * deviation;
  }
  return variance;
}

double EnsembleLoss(absl::Span<const float> first, absl::Span<const float> second,
                    double coefficient, size_t label, double scale) {
  std::vector<double> mean(first.size());
  for (size_t y = 0; y < mean.size(); ++y) {
    mean[y] = (1 - coefficient) * first[y] + coefficient * second[y];
  }
  return CrossEntropy(absl::Span<const double>(mean), label, scale);
}

}  // namespace

GapTerms MeasureGapTerms(const LabelledLogits& soup, absl::Span<const float> first,
                         absl::Span<const float> second, double coefficient,
                         double inverse_temperature) {
  GapTerms terms{.inverse_temperature = inverse_temperature};
  const LabelledLogits firsts{first, soup.classes, soup.labels};
  const LabelledLogits seconds{second, soup.classes, soup.labels};
  for (size_t i = 0; i < soup.labels.size(); ++i) {
    terms.variance += Variance(soup.row(i), firsts.row(i), seconds.row(i), inverse_temperature);
    terms.ensemble_loss += EnsembleLoss(firsts.row(i), seconds.row(i), coefficient,
                                        static_cast<size_t>(soup.labels[i]), inverse_temperature);
  }
  const auto count = static_cast<double>(soup.labels.size());
  terms.variance /= count;
  terms.ensemble_loss /= count;
  terms.soup_loss = MeanCrossEntropy(soup, inverse_temperature);
  return terms;
}

void FinishGap(double loss_before, double loss_after, double coefficient, double step,
               GapTerms* terms) {
  terms->second_derivative =
      ((loss_after - terms->soup_loss) - (terms->soup_loss - loss_before)) / (step * step);
  const double scale = terms->inverse_temperature;
  terms->approximation = coefficient * (1 - coefficient) / 2 *
                         (scale * scale * terms->variance - terms->second_derivative);
}

}  // namespace stockpot
