"""A report in an experiment tracker: MLflow (the extra `mlflow`) or Weights & Biases (the extra `wandb`).

    with mlflow.start_run():
        stockpot.tracking.log_to_mlflow(job.report)

Both log the same: parameters (recipe, its choices, how many ingredients), a metric for each soup and data set named
`greedy.test.top1`, the gains, the job and the soup's digest as tags, and report.json and, where the extra `report` is
there, report.html as files. The caller's active run is used, and left active; without one a run is made and ended.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

from .errors import FailedPrecondition
from .report import Report


def parameters(report: Report) -> dict[str, str]:
    choices = dict(choice.partition("=")[::2] for choice in report.result.recipe_choices)
    return {
        "recipe": report.result.recipe,
        "metric": report.metric,
        "ingredients": str(len(report.result.ingredients)),
        **{f"recipe.{name}": value for name, value in choices.items()},
    }


def metrics(report: Report) -> dict[str, float]:
    """By name: soup, data set and the job's metric. Characters that trackers refuse are underscores."""
    found: dict[str, float] = {}
    for blend in report.result.blends:
        for entry in blend.scores:
            value = report.value(entry.score)
            if value is not None:
                found[f"{blend.kind}.{entry.data_set}.{report.metric}"] = value
        if blend.HasField("mean_of_shifts"):
            found[f"{blend.kind}.mean_of_shifts.{report.metric}"] = blend.mean_of_shifts
    for gain in report.result.gains:
        found[f"gain.{gain.data_set}.{report.metric}"] = gain.difference
    found["cost.evaluations_run"] = float(report.cost.evaluations_run)
    found["cost.worker_seconds"] = report.cost.worker_seconds
    return {re.sub(r"[^\w.\-/ ]", "_", name): value for name, value in found.items()}


def tags(report: Report) -> dict[str, str]:
    found = {
        "stockpot.job": report.job.name if report.job else "",
        "stockpot.soup_digest": report.result.soup_digest,
        "stockpot.chosen": report.result.chosen,
        "stockpot.headline": report.headline,
    }
    return {name: value for name, value in found.items() if value}


@contextlib.contextmanager
def _files(report: Report) -> Iterator[list[pathlib.Path]]:
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / "report.json"]
        files[0].write_text(json.dumps(report.to_dict(), indent=2), encoding="utf-8")
        if importlib.util.find_spec("vl_convert") is not None:
            files.append(report.to_html(pathlib.Path(folder) / "report.html"))
        yield files


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FailedPrecondition(f"logging to {name} needs it: pip install 'stockpot[{name}]'") from error


def log_to_mlflow(report: Report) -> str:
    """Gives the run's id. The server is MLflow's own: $MLFLOW_TRACKING_URI."""
    mlflow = _import("mlflow")
    active = mlflow.active_run()
    with contextlib.nullcontext(active) if active else mlflow.start_run() as run:
        mlflow.log_params(parameters(report))
        mlflow.log_metrics(metrics(report))
        mlflow.set_tags(tags(report))
        with _files(report) as files:
            for file in files:
                mlflow.log_artifact(str(file))
        found: str = run.info.run_id
    return found


def log_to_wandb(report: Report) -> str:
    """Gives the run's id. Scores are the run's summary: they are no course over steps."""
    wandb = _import("wandb")
    active = wandb.run
    run = active or wandb.init(project="stockpot", job_type="soup")
    try:
        run.config.update({**parameters(report), **tags(report)}, allow_val_change=True)
        run.summary.update(metrics(report))
        with _files(report) as files:
            artifact = wandb.Artifact(f"stockpot-report-{run.id}", type="report")
            for file in files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
        found: str = run.id
    finally:
        if active is None:
            run.finish()
    return found
