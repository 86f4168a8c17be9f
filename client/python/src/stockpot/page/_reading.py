"""A report read for a page: what its metric is called, what its sets are for, and scores as people write them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from ..report import LOWER_IS_BETTER, RATES, Report, Scores
from ..v1 import job_pb2, report_pb2

_TITLES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "cross_entropy": "cross-entropy",
    "mean_per_class": "mean accuracy per class",
    "f1_binary": "F1",
    "f1_macro": "macro F1",
    "matthews": "Matthews correlation",
    "mean_of_accuracy_and_f1": "mean of accuracy and F1",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "mean_of_pearson_and_spearman": "mean of Pearson and Spearman",
    "mean_squared_error": "mean squared error",
    "perplexity": "perplexity",
}
SHIFT = "distribution_shift"


class Reading:
    """Of one report, and of its job where it is known. Immutable."""

    def __init__(self, report: Report):
        self.report = report
        self.result = report.result
        self.job: job_pb2.Job | None = report.job
        self.lower_is_better = report.metric in LOWER_IS_BETTER
        self.is_rate = report.metric in RATES
        self.metric_title = _TITLES.get(report.metric, report.metric.replace("_", " ") or "score")
        sets = self.result.data_sets
        self.held_out = next((each.name for each in sets if each.role == "held_out"), sets[0].name if sets else "")
        self.shifts = [each.name for each in sets if each.role == SHIFT]
        # Of a Vega-Lite axis.
        self.format = ".1%" if self.is_rate else ".4~g"

    @property
    def sign(self) -> int:
        """Times it, a larger score is a better one."""
        return -1 if self.lower_is_better else 1

    def score_on(self, scores: Scores, data_set: str) -> report_pb2.Score | None:
        return next((entry.score for entry in scores if entry.data_set == data_set), None)

    def value_on(self, scores: Scores, data_set: str) -> float | None:
        score = self.score_on(scores, data_set)
        return None if score is None else self.report.value(score)

    def mean_of_shifts(self, scores: Scores) -> float | None:
        """Of the metric over all sets under a shift, as BlendResult has it; None where one was not measured."""
        values = [self.value_on(scores, name) for name in self.shifts]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known and len(known) == len(values) else None

    def show(self, value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return "–"
        return f"{100 * value:.2f} %" if self.is_rate else f"{value:.4f}"

    def show_difference(self, value: float) -> str:
        return show_points(value) if self.is_rate else f"{value:+.4f}".replace("-", "−")

    def show_spread(self, value: float) -> str:
        """A standard deviation."""
        return f"{100 * value:.2f} points" if self.is_rate else f"{value:.4f}"

    def recipes(self) -> Iterator[tuple[str, report_pb2.ReportResult | report_pb2.RecipeResult, Sequence[str]]]:
        """Each recipe: the kind of its blend, its report, its named choices; first the one that was shipped."""
        yield self.result.chosen, self.result, self.result.recipe_choices
        for other in self.result.comparisons:
            yield other.kind, other, other.recipe_choices


def show_points(value: float) -> str:
    """A difference of rates, in percentage points."""
    return f"{points(value)} points"


def points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")


def name_of(kind: str) -> str:
    """A blend's kind for people: "greedy_logit_ensemble" is "greedy logit ensemble"."""
    name, _, last = kind.partition("+")
    return name.replace("_", " ") + (f" + {last.replace('wise_ft', 'WiSE-FT')}" if last else "")


def choices_of(choices: Sequence[str]) -> str:
    """ "order=RANDOM", "seed=1" in words: "order random, seed 1"."""
    return ", ".join(choice.replace("=", " ").replace("_", " ").lower() for choice in choices)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds(value: float) -> str:
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    return f"{value / 60:.1f} min" if value >= 120 else f"{value:.1f} s"
