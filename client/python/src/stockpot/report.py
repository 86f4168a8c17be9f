"""A job's report: its message, sentences, pandas frames, and how a notebook shows it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import json_format

from .v1 import job_pb2, report_pb2

if TYPE_CHECKING:
    import pandas

Scores = Iterable[report_pb2.DataSetScore]


class ReportFrames(NamedTuple):
    """Tables of a report. In each, a score that was not measured is missing (NaN)."""

    ingredients: pandas.DataFrame  # a row for each, in spec order; a column for the metric on each data set
    candidates: pandas.DataFrame  # what a greedy recipe tried, in order
    data_sets: pandas.DataFrame
    scores: pandas.DataFrame  # a row for each model (ingredients, soups, ensembles) and data set, with all scores


class Report:
    """Of a job. Immutable."""

    def __init__(self, message: report_pb2.Report, job: job_pb2.Job | None = None):
        self.message = message
        self.job = job  # whose report it is, where that is known

    @property
    def result(self) -> report_pb2.ReportResult:
        """What the same spec over the same content gives again, byte for byte."""
        return self.message.result

    @property
    def cost(self) -> report_pb2.ReportCost:
        return self.message.cost

    @property
    def headline(self) -> str:
        """One sentence about the gain."""
        return self.result.headline

    @property
    def metric(self) -> str:
        """What decided: a name of EvaluationPlan.Metric in lower case, such as "top1"."""
        return self.result.metric.lower()

    @property
    def chosen(self) -> report_pb2.BlendResult:
        """The blend that was shipped. Raises LookupError when the job did not get that far."""
        return self.blend(self.result.chosen)

    def blend(self, kind: str) -> report_pb2.BlendResult:
        """The blend of this kind: "best_single", "uniform", "greedy", … Raises LookupError."""
        for blend in self.result.blends:
            if blend.kind == kind:
                return blend
        raise LookupError(f"the report has no {kind!r}; it has {[blend.kind for blend in self.result.blends]}")

    def value(self, score: report_pb2.Score) -> float | None:
        """The deciding metric of a score."""
        return metric_value(score, self.metric)

    def to_dict(self) -> dict[str, Any]:
        """As report.json has it."""
        found: dict[str, Any] = json_format.MessageToDict(self.message, preserving_proto_field_name=True)
        return found

    def to_pandas(self) -> ReportFrames:
        """Needs the extra `pandas`."""
        import pandas

        result = self.result
        sets = [data_set.name for data_set in result.data_sets]
        ingredients = pandas.DataFrame(
            [
                {**self._ingredient_row(ingredient), **self._by_set(ingredient.scores, sets)}
                for ingredient in result.ingredients
            ]
        )
        return ReportFrames(
            ingredients.set_index("ingredient") if len(ingredients) else ingredients,
            pandas.DataFrame([self._step_row(step) for step in result.steps], columns=list(self._step_row())),
            pandas.DataFrame([_plain(data_set) for data_set in result.data_sets]),
            pandas.DataFrame([row for row in self._score_rows()]),
        )

    def _ingredient_row(self, ingredient: report_pb2.IngredientResult) -> dict[str, Any]:
        return {
            "ingredient": ingredient.display_name,
            "in_soup": ingredient.in_soup,
            "coefficient": ingredient.coefficient,
            "group": ingredient.group,
            "identical_to": ingredient.identical_to,
            "skipped_because": ingredient.skipped_because,
            "uri": ingredient.uri,
            "digest": ingredient.digest,
        }

    def _by_set(self, scores: Scores, sets: list[str]) -> dict[str, float | None]:
        known = {entry.data_set: self.value(entry.score) for entry in scores}
        return {f"{self.metric}.{name}": known.get(name) for name in sets}

    def _step_row(self, step: report_pb2.CandidateStep | None = None) -> dict[str, Any]:
        step = step or report_pb2.CandidateStep()
        bound = step.not_better_than if step.HasField("not_better_than") else None
        return {
            "candidate": step.candidate,
            "accepted": step.accepted,
            "passed_over": step.passed_over,
            "soup_size": step.soup_size,
            self.metric or "score": self.value(step.score) if step.HasField("score") else None,
            "not_better_than": None if bound is None else self.value(bound),
        }

    def _score_rows(self) -> Iterator[dict[str, Any]]:
        models = [("ingredient", each.display_name, each.scores) for each in self.result.ingredients]
        models += [("blend", blend.kind, blend.scores) for blend in self.result.blends]
        for kind, name, scores in models:
            for entry in scores:
                yield {"kind": kind, "model": name, "data_set": entry.data_set, **_plain(entry.score)}

    def __str__(self) -> str:
        lines = [self.headline, self.result.explanation]
        for blend in self.result.blends:
            scores = [f"{entry.data_set} {self.show(entry.score)}" for entry in blend.scores]
            mark = " (chosen)" if blend.kind == self.result.chosen else ""
            lines.append(
                f"{blend.kind}{mark}: {', '.join(scores)}; {len(blend.ingredients)} of {len(self.result.ingredients)}"
            )
        return "\n".join(line for line in lines if line)

    def __repr__(self) -> str:
        return f"<stockpot.Report {self.result.recipe}: {self.headline or self.result.explanation}>"

    def show(self, score: report_pb2.Score) -> str:
        """The deciding metric for people: rates in percent."""
        value = self.value(score)
        if value is None:
            return "–"
        return f"{100 * value:.2f} %" if self.metric in RATES else f"{value:.4f}"

    def to_html(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the report as one page with figures (see stockpot.page). Needs the extra `report`."""
        from .page import to_html

        return to_html(self, path)

    def _repr_html_(self) -> str:
        from ._report_html import render

        return render(self)


def _plain(message: Any) -> dict[str, Any]:
    """The fields of a message without messages in it, those at zero too; optional ones that are not there as None."""
    return {
        field.name: getattr(message, field.name) if not field.has_presence or message.HasField(field.name) else None
        for field in message.DESCRIPTOR.fields
    }


RATES = ("top1", "top5", "mean_per_class", "f1_binary", "f1_macro", "mean_of_accuracy_and_f1")
LOWER_IS_BETTER = ("cross_entropy", "mean_squared_error", "perplexity")
_MEANS: dict[str, Callable[[report_pb2.Score], float]] = {
    "mean_of_accuracy_and_f1": lambda score: (score.top1 + score.f1_binary) / 2,
    "mean_of_pearson_and_spearman": lambda score: (score.pearson + score.spearman) / 2,
}


def metric_value(score: report_pb2.Score, metric: str) -> float | None:
    """The metric of a score by its name in lower case; None when it has none."""
    if score.example_count == 0:
        return None
    if metric in _MEANS:
        return _MEANS[metric](score)
    field = score.DESCRIPTOR.fields_by_name.get(metric)
    if field is None or (field.has_presence and not score.HasField(field.name)):
        return None
    return float(getattr(score, metric))
