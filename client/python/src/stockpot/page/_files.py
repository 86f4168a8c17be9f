"""Jobs from files, pages and figures into files."""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from google.protobuf import json_format

from .._settings import MAX_MESSAGE_BYTES
from ..errors import InvalidArgument
from ..report import Report
from ..v1 import job_pb2, report_pb2
from ._assemble import figures, render
from ._vega import Scheme, image

if TYPE_CHECKING:
    from _typeshed import StrPath

Format = Literal["svg", "png"]


def read_job(text: str | bytes, name: str = "the job") -> Report:
    """The report of a job as `stockpot get --json` prints it, or of a report.json. `name` is for errors.

    Raises InvalidArgument for anything else. Fields of a newer server are left out.
    """
    if len(text) > 4 * MAX_MESSAGE_BYTES:
        raise InvalidArgument(f"{name}: {len(text):,} bytes are more than a job can have")
    try:
        job = json_format.Parse(text, job_pb2.Job(), ignore_unknown_fields=True, max_recursion_depth=50)
        if not job.HasField("report"):
            report = json_format.Parse(text, report_pb2.Report(), ignore_unknown_fields=True, max_recursion_depth=50)
            if report.HasField("result"):
                return Report(report)
            state = (
                f"{job.name or 'it'} is {job_pb2.Job.State.Name(job.state)}"
                if job.state
                else "expected a job or a report"
            )
            raise InvalidArgument(f"{name}: has no report: {state}")
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(
            f"{name}: expected the JSON of `stockpot get --json` or a report.json: {error}"
        ) from error
    return Report(job.report, job)


def to_html(report: Report, path: StrPath) -> pathlib.Path:
    """Writes the page; an old one is replaced at once or not at all."""
    return _write(pathlib.Path(path), render(report).encode())


def write_figures(
    report: Report, folder: StrPath, formats: Sequence[Format] = ("svg",), scheme: Scheme = "light"
) -> list[pathlib.Path]:
    """Every figure of the page as a file of its own, named by its id: gains.svg, path-0.svg, …"""
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return [
        _write(target / f"{figure.id}.{format}", image(figure, format, scheme))
        for figure in figures(report)
        for format in formats
    ]


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
