"""Calibration, angles, the paper's equation 2 and the landscape, on the digits."""

import functools
import itertools

import scipy.stats
import torch

import fixtures
import plain
from fixtures import CrossCheck, digits
from service import Job

# Beyond the ends, a far end makes the running variances of BatchNorm negative, and so the logits NaN.
NAMES = ["plain", "smooth", "noise", "long"]
COEFFICIENTS = [-0.25, 0.0, 0.25, 0.5, 1.0]
STEP = 0.1


@functools.cache
def job() -> Job:
    spec = digits().spec(**fixtures.digits_evaluation())
    spec["recipe"] = {"uniform": {}}
    spec["comparisons"] = [{"logit_ensemble": {}}]
    pairs = [{"first": first, "second": second} for first, second in itertools.combinations(NAMES, 2)]
    spec["analysis"] = {
        "calibration": True,
        "angles": True,
        "pairs": {"coefficients": COEFFICIENTS, "pairs": pairs, "approximation": True, "step": STEP},
        "landscape": {
            "first": "base",
            "second": "plain",
            "third": "noise",
            "points": 4,
            "high": 0.75,
            "data_set": "test",
        },
    }
    return fixtures.service().run(spec)


def held_out_loss(logits: torch.Tensor, beta: float = 1.0) -> float:
    return torch.nn.functional.cross_entropy(logits.double() * beta, digits().sets["held_out"].labels).item()


class Calibration(CrossCheck):
    def logits(self, name: str, data_set: str) -> torch.Tensor:
        if name == "logit_ensemble":
            # Stockpot keeps an ensemble's logits in float32.
            return fixtures.ensemble(digits(), job().blend(name)["ingredients"], data_set).float()
        if name in digits().ingredients:
            return fixtures.outputs(digits(), digits().ingredients[name], data_set)
        return fixtures.outputs(digits(), fixtures.blended(digits(), job().blend(name)), data_set)

    def test_temperatures_and_errors_before_and_after(self):
        names = [entry["name"] for entry in job().result["calibrations"]]
        self.assertCountEqual(names, ["best_single", "uniform", "logit_ensemble", *digits().ingredients])
        for calibration in job().result["calibrations"]:
            name = calibration["name"]
            temperature = plain.fitted_temperature(self.logits(name, "held_out"), digits().sets["held_out"].labels)
            self.assert_close(calibration["temperature"], temperature, 1e-5 * temperature, name)
            self.assertEqual([entry["data_set"] for entry in calibration["entries"]], ["held_out", "test", "shifted"])
            for entry in calibration["entries"]:
                with self.subTest(name=name, data_set=entry["data_set"]):
                    self.check_entry(entry, self.logits(name, entry["data_set"]), temperature)

    def check_entry(self, entry: dict, logits: torch.Tensor, temperature: float) -> None:
        labels = digits().sets[entry["data_set"]].labels
        for suffix, scaled in {"": logits.double(), "_scaled": logits.double() / temperature}.items():
            expected = {
                "ece_equal_mass": plain.ece_equal_mass(scaled, labels),
                "ece_equal_width": plain.ece_equal_width(scaled, labels),
                "cross_entropy": torch.nn.functional.cross_entropy(scaled, labels).item(),
            }
            for name, value in expected.items():
                self.assert_close(entry[name + suffix], value, fixtures.LOSS_TOLERANCE, name + suffix)


class Angles(CrossCheck):
    def test_norms_and_angles_of_moves(self):
        angles = job().result["angles"]
        self.assertEqual(angles["ingredients"], list(digits().ingredients))
        moves = torch.stack([plain.flat_move(weights, digits().base) for weights in digits().ingredients.values()])
        norms = moves.norm(dim=1)
        degrees = torch.rad2deg(torch.acos((moves @ moves.T / norms[:, None] / norms).clamp(-1, 1))).fill_diagonal_(0)
        for found, expected in zip(angles["norms"], norms.tolist(), strict=True):
            self.assert_close(found, expected, fixtures.EXACT * expected, "norm")
        for found, expected in zip(angles["angles"], degrees.flatten().tolist(), strict=True):
            self.assert_close(found, expected, 1e-7, "angle")


class Pairs(CrossCheck):
    def test_scores_along_the_segments_and_of_ensembles(self):
        for pair in job().result["pairs"]["pairs"]:
            ends = fixtures.models(digits(), [pair["first"], pair["second"]])
            self.assertEqual([point["coefficient"] for point in pair["points"]], COEFFICIENTS)
            for point in pair["points"]:
                a = point["coefficient"]
                with self.subTest(pair=(pair["first"], pair["second"]), a=a):
                    soup = fixtures.outputs(digits(), plain.mix(ends, [1 - a, a]))
                    self.assert_score(point["score"], soup, digits().sets["held_out"])
                    self.assertEqual(point.get("gap") is not None, 0 < a < 1)
                    if 0 < a < 1:
                        logits = [fixtures.outputs(digits(), end).double() for end in ends]
                        self.assert_score(
                            point["ensemble_score"], (1 - a) * logits[0] + a * logits[1], digits().sets["held_out"]
                        )

    def gaps(self):
        for pair in job().result["pairs"]["pairs"]:
            for point in pair["points"]:
                if point.get("gap"):
                    yield fixtures.models(digits(), [pair["first"], pair["second"]]), point["coefficient"], point["gap"]

    def test_terms_of_equation_2(self):
        labels = digits().sets["held_out"].labels
        for ends, a, gap in self.gaps():
            logits = {at: fixtures.outputs(digits(), plain.mix(ends, [1 - at, at])) for at in (a - STEP, a, a + STEP)}
            first, second = (fixtures.outputs(digits(), end) for end in ends)
            beta = 1 / plain.fitted_temperature(logits[a], labels)
            losses = [held_out_loss(soup, beta) for soup in logits.values()]
            variance = plain.expected_variance(logits[a], first, second, beta)
            curvature = (losses[0] - 2 * losses[1] + losses[2]) / STEP**2
            self.assert_close(gap["inverse_temperature"], beta, 1e-5 * beta)
            self.assert_close(gap["soup_loss"], losses[1], fixtures.LOSS_TOLERANCE)
            ensemble = held_out_loss((1 - a) * first.double() + a * second.double(), beta)
            self.assert_close(gap["ensemble_loss"], ensemble, fixtures.LOSS_TOLERANCE)
            self.assert_close(gap["variance"], variance, 1e-5 * variance)
            # Rounding of three losses, divided by the square of the step.
            self.assert_close(gap["second_derivative"], curvature, 3 * fixtures.LOSS_TOLERANCE / STEP**2)
            approximation = a * (1 - a) / 2 * (beta**2 * variance - curvature)
            self.assert_close(gap["approximation"], approximation, fixtures.LOSS_TOLERANCE / STEP**2)

    def test_the_central_difference_is_near_the_derivative(self):
        """Its error is a twelfth of the square of the step times the fourth derivative."""
        held_out = digits().sets["held_out"]
        for ends, a, gap in self.gaps():
            exact = plain.second_derivative(
                digits().module, *ends, held_out.inputs, held_out.labels, a, gap["inverse_temperature"]
            )
            self.assert_close(gap["second_derivative"], exact, 0.02 * abs(exact))

    def test_correlations(self):
        found = job().result["pairs"]["approximation_to_difference"]
        gaps = [gap for _, _, gap in self.gaps()]
        self.check_correlation(
            found, [g["approximation"] for g in gaps], [g["soup_loss"] - g["ensemble_loss"] for g in gaps]
        )

    def test_angles_and_gains(self):
        angles, gains = [], []
        for pair in job().result["pairs"]["pairs"]:
            top1 = {point["coefficient"]: point["score"]["top1"] for point in pair["points"]}
            first, second = (
                plain.flat_move(m, digits().base) for m in fixtures.models(digits(), [pair["first"], pair["second"]])
            )
            angle = torch.rad2deg(torch.acos(torch.nn.functional.cosine_similarity(first, second, dim=0))).item()
            self.assert_close(pair["angle"], angle, 1e-7)
            angles.append(angle)
            gains.append(top1[0.5] - (top1[0.0] + top1[1.0]) / 2)
        self.check_correlation(job().result["pairs"]["angle_to_gain"], angles, gains)

    def check_correlation(self, found: dict, x: list[float], y: list[float]) -> None:
        self.assertEqual(int(found["count"]), len(x))
        self.assert_close(found["pearson"], scipy.stats.pearsonr(x, y).statistic, fixtures.EXACT)
        self.assert_close(found["spearman"], scipy.stats.spearmanr(x, y).statistic, fixtures.EXACT)


class Landscape(CrossCheck):
    def test_grid_and_plane(self):
        landscape = job().result["landscape"]
        corners = fixtures.models(digits(), ["base", "plain", "noise"])
        self.assertEqual(landscape["models"], ["base", "plain", "noise"])
        second, third = (plain.flat_move(model, corners[0]) for model in corners[1:])
        for name, value in {
            "second_squared": second @ second,
            "third_squared": third @ third,
            "inner_product": second @ third,
        }.items():
            self.assert_close(landscape[name], value.item(), fixtures.EXACT * abs(value.item()), name)
        steps = [0.0, 0.25, 0.5, 0.75]
        self.assertEqual(len(landscape["points"]), 16)
        for point, (y, x) in zip(landscape["points"], itertools.product(steps, steps), strict=True):
            self.assert_close(point["x"], x, fixtures.EXACT)
            self.assert_close(point["y"], y, fixtures.EXACT)
            weights = plain.mix(corners, [1 - x - y, x, y])
            self.assert_score(point["score"], fixtures.outputs(digits(), weights, "test"), digits().sets["test"])
