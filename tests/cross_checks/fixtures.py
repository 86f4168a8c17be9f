"""What the tests share: one service, each sweep trained once, each job run once. And how scores are compared."""

import atexit
import functools
import os
import pathlib
import unittest

import torch
from torch import Tensor

import plain
import sweeps
from service import Job, Service
from sweeps import Examples, Sweep

torch.set_num_threads(1)  # the models are small

# Logits are float32: another batch size may order a convolution's sums otherwise, so they differ by about 1e-6, and so
# do means over examples. What comes from the same counts, or from the same float64 numbers, agrees to rounding.
LOSS_TOLERANCE = 2e-6
EXACT = 1e-9


@functools.cache
def service() -> Service:
    running = Service(pathlib.Path(os.environ["STOCKPOT_PROGRAMS"]))
    atexit.register(running.stop)
    return running


def text_folder() -> pathlib.Path:
    return pathlib.Path(os.environ["STOCKPOT_CROSS_CHECKS"]) / "text"


@functools.cache
def digits() -> Sweep:
    return sweeps.digits(service().folder / "digits")


@functools.cache
def diabetes() -> Sweep:
    return sweeps.diabetes(service().folder / "diabetes")


@functools.cache
def sentences() -> Sweep:
    return sweeps.sentences(service().folder / "sentences", text_folder())


@functools.cache
def tweets() -> Sweep:
    return sweeps.tweets(service().folder / "tweets", text_folder())


def digits_evaluation(**more) -> dict:
    sets = [digits().report_set("test", "FINAL"), digits().report_set("shifted", "DISTRIBUTION_SHIFT")]
    return {"report_sets": sets, **more}


def outputs(sweep: Sweep, weights: plain.Weights, data_set: str = "held_out") -> Tensor:
    return plain.outputs(sweep.module, weights, sweep.sets[data_set].inputs)


def models(sweep: Sweep, names: list[str]) -> list[plain.Weights]:
    """By display name; "base" is the pre-trained one."""
    return [sweep.base if name == "base" else sweep.ingredients[name] for name in names]


@functools.cache
def soup_outputs(sweep: Sweep, names: tuple[str, ...], data_set: str = "held_out") -> Tensor:
    """Of the uniform soup."""
    return outputs(sweep, plain.uniform(models(sweep, list(names))), data_set)


def blended(sweep: Sweep, blend: dict) -> plain.Weights:
    """The weights of an entry of `blends` with one coefficient for each ingredient."""
    of_blend = models(sweep, blend["ingredients"])
    even = all(c == blend["coefficients"][0] for c in blend["coefficients"])
    return plain.uniform(of_blend) if even else plain.mix(of_blend, blend["coefficients"])


def ensemble(sweep: Sweep, names: list[str], data_set: str = "held_out") -> Tensor:
    """The mean of logits, in float64."""
    return torch.stack([soup_outputs(sweep, (name,), data_set).double() for name in names]).mean(0)


class CrossCheck(unittest.TestCase):
    maxDiff = None

    def assert_close(self, found: float, expected: float, tolerance: float, what: str = "") -> None:
        self.assertLessEqual(abs(found - expected), tolerance, f"{what}: Stockpot says {found}, plain is {expected}")

    def assert_score(self, score: dict, logits: Tensor, examples: Examples) -> None:
        """Counts are equal, but for labels that rounding of the logits could move; so are the scores made of counts."""
        language = logits.dim() == 3
        expected = (plain.language if language else plain.classification)(logits, examples.labels)
        ties = plain.near_ties(logits, examples.labels)
        count = expected["example_count"]
        self.assertEqual(int(score["example_count"]), count)
        for name in ["top1_correct", "top5_correct"]:
            self.assert_close(int(score[name]), expected[name], ties, name)
        for name in ["mean_per_class", "f1_binary", "f1_macro", "matthews"]:
            if name in expected and ties == 0:
                self.assert_close(score[name], expected[name], EXACT, name)
        self.assert_close(
            float(score["cross_entropy_sum"]) / count, expected["cross_entropy_sum"] / count, LOSS_TOLERANCE
        )
        if "ece" in expected and ties == 0:
            self.assert_close(score["ece"], expected["ece"], LOSS_TOLERANCE, "ece")
        if language:
            self.assert_close(score["perplexity"], expected["perplexity"], LOSS_TOLERANCE * expected["perplexity"])

    def assert_regression(self, score: dict, predictions: Tensor, examples: Examples) -> None:
        for name, value in plain.regression(predictions, examples.labels).items():
            # Ranks change where two outputs are closer than rounding.
            self.assert_close(float(score[name]), value, 1e-4 if name == "spearman" else LOSS_TOLERANCE, name)

    def assert_blends(self, job: Job, sweep: Sweep, kinds: list[str]) -> None:
        """Every data set's scores of blends of weights with a coefficient for each ingredient."""
        for kind in kinds:
            blend = job.blend(kind)
            weights = blended(sweep, blend)
            for entry in blend["scores"]:
                with self.subTest(kind=kind, data_set=entry["data_set"]):
                    logits = outputs(sweep, weights, entry["data_set"])
                    self.assert_score(entry["score"], logits, sweep.sets[entry["data_set"]])

    def assert_greedy(self, recipe: dict, expected: tuple[list[str], list[plain.Step]], metric: str) -> None:
        """The same candidates in the same order, accepted and rejected alike.

        Of a rejected one the report has its score, or that of the soup it was not better than.
        """
        soup, steps = expected
        tried = [step for step in recipe["steps"] if not step["passed_over"]]
        self.assertEqual([step["candidate"] for step in tried], [step.candidate for step in steps])
        self.assertEqual([step["accepted"] for step in tried], [step.accepted for step in steps])
        self.assertEqual(int(recipe["steps"][-1]["soup_size"]), len(soup))
        soup_score = steps[0].score
        for step, plainly in zip(tried, steps, strict=True):
            if plainly.accepted:
                soup_score = plainly.score
            told, score = ("score", plainly.score) if "score" in step else ("not_better_than", soup_score)
            self.assertTrue(told == "score" or not plainly.accepted)
            self.assert_close(float(step[told][metric]), score, LOSS_TOLERANCE, metric)


def data_set_scores(scores: list[dict]) -> dict[str, dict]:
    return {entry["data_set"]: entry["score"] for entry in scores}
