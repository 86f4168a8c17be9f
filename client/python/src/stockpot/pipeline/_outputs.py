"""What a step leaves: a line of JSON, and files of one value each, as Argo and Kubeflow read output parameters."""

from __future__ import annotations

import json
import os
import pathlib
from dataclasses import dataclass
from typing import Any

from .._job import JobBase
from ..report import Report
from ..v1 import job_pb2, report_pb2

_SOUPS = ("soup.safetensors", "soup.pt", "soup.safetensors.index.json")


@dataclass(frozen=True)
class Outcome:
    """Of a job that ended, or that goes on without the step."""

    job: JobBase | None
    exit_code: int
    retryable: bool
    message: str = ""
    folder: str = ""  # where the soup was downloaded to

    def values(self) -> dict[str, str]:
        """By file name. All are there whatever happened, empty where there is nothing: runners insist on them."""
        report = self._report()
        soup = self._soup()
        return {
            "job": self.job.name if self.job else "",
            "state": self.job.state if self.job else "",
            "soup_uri": self._uri(soup) if soup else "",
            "soup_sha256": soup.sha256 if soup else "",
            "soup_digest": report.result.soup_digest if report else "",
            "scores": json.dumps(self.metrics()["scores"]),
            "metrics.json": json.dumps(self.metrics(), indent=2) + "\n",
        }

    def line(self) -> str:
        values = self.values()
        found: dict[str, Any] = {
            name: values[name] for name in ("job", "state", "soup_uri", "soup_sha256", "soup_digest")
        }
        found |= {key: value for key, value in self.metrics().items() if key not in ("job", "soup_digest")}
        return json.dumps({**found, "exit_code": self.exit_code, "retryable": self.retryable, "message": self.message})

    def metrics(self) -> dict[str, Any]:
        """The shipped soup's scores by the job's metric, its gains, and what it took."""
        report = self._report()
        if report is None:
            return {"metric": "", "chosen": "", "scores": {}, "gains": {}}
        result, cost = report.result, report.cost
        chosen = next((blend for blend in result.blends if blend.kind == result.chosen), report_pb2.BlendResult())
        scores = {entry.data_set: report.value(entry.score) for entry in chosen.scores}
        if chosen.HasField("mean_of_shifts"):
            scores["mean_of_shifts"] = chosen.mean_of_shifts
        return {
            **{"metric": report.metric, "chosen": result.chosen, "scores": scores},
            "gains": {gain.data_set: gain.difference for gain in result.gains},
            **{"ingredients": len(result.ingredients), "ingredients_in_soup": len(chosen.ingredients)},
            **{"evaluations_run": cost.evaluations_run, "evaluations_reused": cost.evaluations_reused},
        }

    def write(self, folder: str) -> None:
        target = pathlib.Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for name, value in self.values().items():
            part = target / f".{name}.part"
            part.write_text(value, encoding="utf-8")
            part.replace(target / name)

    def append_to(self, file: str) -> None:
        """As GitHub Actions reads a step's outputs. No value has a line of its own, so none can bring another key."""
        values = {key: value.replace("\n", " ") for key, value in self.values().items() if not key.endswith(".json")}
        with open(file, "a", encoding="utf-8") as stream:
            stream.write("".join(f"{key}={value}\n" for key, value in values.items()))

    def _report(self) -> Report | None:
        return self.job.report if self.job and self.job.message.HasField("report") else None

    def _soup(self) -> job_pb2.ArtifactFile | None:
        files = {file.file: file for file in self.job.artifacts} if self.job else {}
        return next((files[name] for name in _SOUPS if name in files), None)

    def _uri(self, soup: job_pb2.ArtifactFile) -> str:
        """Of the file here, where the job wrote it, or the job's name and the file, as `stockpot download` takes them."""
        assert self.job is not None
        if self.folder:
            return pathlib.Path(os.path.abspath(self.folder), soup.file).as_uri()
        written = self.job.message.spec.output.output_uri
        if written:
            base = written if "://" in written else pathlib.Path(written).as_uri()
            return f"{base.rstrip('/')}/{soup.file}"
        return f"{self.job.name}/{soup.file}"
