// Soup minus logit ensemble, and the paper's approximation of it, for one pair of end points and
// one coefficient a: equation 2 of Wortsman et al. 2022 (arXiv 2203.05482), section 4,
//
//   L_soup(a) − L_ens(a) ≈ a(1 − a)/2 · (−d²L_soup/da² + β²·E_x Var_{Y ~ softmax(βf)}[Δf_Y(x)])
//
// with f the soup's logits, Δf the second end point's logits minus the first's, all losses the mean
// cross-entropy of β·logits, β the least cross-entropy of the soup's (temperature.h), and d² a
// central difference. The soup at a is (1 − a)·first + a·second. All in float64.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_GAP_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_GAP_H_

#include "absl/types/span.h"
#include "server/worker/evaluation/temperature.h"

namespace stockpot {

struct GapTerms {
  double inverse_temperature = 0;
  double soup_loss = 0;
  double ensemble_loss = 0;
  double second_derivative = 0;
  double variance = 0;
  double approximation = 0;
};

// The terms that need no other soup: soup_loss, ensemble_loss and variance, with
// `inverse_temperature` as given. `first` and `second` are logits of the end points, shaped as the
// soup's.
GapTerms MeasureGapTerms(const LabelledLogits& soup, absl::Span<const float> first,
                         absl::Span<const float> second, double coefficient,
                         double inverse_temperature);

// The others, from the losses of the soups at coefficient ± step.
void FinishGap(double loss_before, double loss_after, double coefficient, double step,
               GapTerms* terms);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_GAP_H_
