"""Regression on the diabetes data: correlations and squared errors, and recipes that choose by them."""

import functools

from torch.nn import functional as F

import fixtures
import plain
from fixtures import CrossCheck, data_set_scores, diabetes
from plain import Learning
from service import Job

LEARNING = Learning("SUM_TO_ONE", epochs=4, batch_size=40, fixed_temperature=True)


@functools.cache
def job(metric: str) -> Job:
    evaluation = {"problem": "REGRESSION", "metric": metric, "report_sets": [diabetes().report_set("test", "FINAL")]}
    spec = diabetes().spec(**evaluation)
    learned = {"constraint": LEARNING.constraint, "epochs": LEARNING.epochs, "batch_size": LEARNING.batch_size}
    comparisons = [{"learned": learned}, {"logit_ensemble": {}}]
    return fixtures.service().run({**spec, "recipe": {"greedy": {}}, "comparisons": comparisons})


def scores(names: tuple[str, ...]) -> dict[str, float]:
    return plain.regression(fixtures.soup_outputs(diabetes(), names), diabetes().sets["held_out"].labels)


class Regression(CrossCheck):
    def test_scores(self):
        for kind in ["best_single", "uniform", "greedy"]:
            blend = job("PEARSON").blend(kind)
            for data_set, score in data_set_scores(blend["scores"]).items():
                with self.subTest(kind=kind, data_set=data_set):
                    predictions = fixtures.outputs(diabetes(), fixtures.blended(diabetes(), blend), data_set)
                    self.assert_regression(score, predictions, diabetes().sets[data_set])

    def test_of_the_ensemble(self):
        blend = job("PEARSON").blend("logit_ensemble")
        for data_set, score in data_set_scores(blend["scores"]).items():
            predictions = fixtures.ensemble(diabetes(), blend["ingredients"], data_set)
            self.assert_regression(score, predictions, diabetes().sets[data_set])

    def test_greedy_by_each_metric(self):
        metrics = {
            "PEARSON": lambda names: scores(names)["pearson"],
            "MEAN_OF_PEARSON_AND_SPEARMAN": lambda names: (scores(names)["pearson"] + scores(names)["spearman"]) / 2,
            "MEAN_SQUARED_ERROR": lambda names: -scores(names)["mean_squared_error"],
        }
        for metric, score in metrics.items():
            with self.subTest(metric=metric):
                order = sorted(diabetes().ingredients, key=lambda name: -score((name,)))
                soup, steps = plain.greedy(order, score)
                self.assertEqual(job(metric).result["order"], order)
                self.assertEqual(
                    [step["accepted"] for step in job(metric).result["steps"]], [step.accepted for step in steps]
                )
                self.assertEqual(job(metric).blend("greedy")["ingredients"], soup)
                difference = score(tuple(soup)) - score((order[0],))
                for gain in job(metric).result.get("gains", []):
                    if gain["data_set"] == "held_out":
                        self.assert_close(gain["difference"], difference, fixtures.LOSS_TOLERANCE, "gain")

    def test_learned_by_squared_error(self):
        blend, learned = job("PEARSON").blend("learned"), job("PEARSON").recipe("learned")["learned"]
        held_out = diabetes().sets["held_out"]

        def loss(outputs, targets):
            return F.mse_loss(outputs.squeeze(1), targets.double())

        models = fixtures.models(diabetes(), blend["ingredients"])
        expected = plain.learn(diabetes().module, models, held_out.inputs, held_out.labels, LEARNING, loss=loss)
        for coefficient, value in zip(learned["coefficients"], expected.coefficients["hidden.weight"], strict=True):
            self.assert_close(coefficient, value, 1e-3)
        for found, value in zip(learned["epoch_losses"], expected.epoch_losses, strict=True):
            self.assert_close(found, value, 1e-4)
        self.assertEqual(learned["temperature"], 1)
