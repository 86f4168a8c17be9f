"""The step itself: submit or rejoin, wait, write the outputs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import signal
import sys
from types import FrameType

import grpc

from .. import errors, tracking
from .._event_text import plain
from .._program import BAD_INPUT, OTHER, SUCCESS, UNREACHABLE, connect, exit_code
from ..client import Client, Job
from ..report import Report
from ..v1 import job_pb2
from ._digest import digest_of
from ._job_file import read_job_file
from ._outputs import Outcome

JOB_FAILED, CANCELLED = 1, 3
RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h


class Terminated(BaseException):
    """The runner wants the step to end: a pod is moved, a workflow stopped."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the step; those of the connection come from the program."""
    parser.add_argument("file", metavar="JOB_FILE", help="YAML or JSON, as `stockpot submit --file` takes it")
    parser.add_argument(
        "--request-id",
        metavar="ID",
        help="the same for each attempt of this step of this run: the workflow's uid and the step's name",
    )
    parser.add_argument(
        "--outputs",
        metavar="FOLDER",
        help="write job, state, soup_uri, soup_sha256, soup_digest, scores and metrics.json there, a file each",
    )
    parser.add_argument("--github-output", action="store_true", help="append the outputs to the file $GITHUB_OUTPUT")
    parser.add_argument("--download", metavar="FOLDER", help="bring the job's files there, verified")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page (needs the extra `report`)")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help="how long to wait in this attempt; then 75, and the job goes on",
    )
    parser.add_argument(
        "--cancel-when-terminated",
        action="store_true",
        help="cancel the job when the step is told to end (SIGTERM), instead of leaving it",
    )
    parser.add_argument(
        "--expect-digest", metavar="SHA256", help="refuse when the job and what it reads have another --digest"
    )
    parser.add_argument(
        "--digest", action="store_true", help="submit nothing: print the digest of the job and of what it reads"
    )
    parser.add_argument("--mlflow", action="store_true", help="log to MLflow's active run, or to a new one")
    parser.add_argument("--wandb", action="store_true", help="log to Weights & Biases' active run, or to a new one")


def run(chosen: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        wanted = read_job_file(chosen.file)
        with connect(chosen) as client:
            if chosen.digest:
                return _print_digest(client, wanted, chosen)
            outcome = _run(client, wanted, chosen)
    except Terminated:
        outcome = Outcome(None, RETRYABLE, True, "the step was told to end before it had a job")
    except (errors.StockpotError, OSError) as error:
        outcome = _failure(None, error)
    return _finish(outcome, chosen)


def _run(client: Client, wanted: job_pb2.Job, chosen: argparse.Namespace) -> Outcome:
    if not chosen.request_id:
        raise errors.InvalidArgument("--request-id: required, so that an attempt that is repeated makes no second job")
    if chosen.expect_digest and (found := digest_of(client, wanted.spec)) != chosen.expect_digest.lower():
        raise errors.FailedPrecondition(f"{chosen.file}: the inputs have digest {found}, not {chosen.expect_digest}")
    job = _submit_or_rejoin(client, wanted, chosen.request_id)
    try:
        return _follow(job, chosen)
    except Terminated:
        if not chosen.cancel_when_terminated:
            return Outcome(job, RETRYABLE, True, "the step was told to end; the job goes on")
        _cancel(job)
        return Outcome(job, CANCELLED, False, "the step was told to end, and cancelled its job")
    except (errors.StockpotError, OSError) as error:
        return _failure(job, error)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes a moment
    raise Terminated


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _submit_or_rejoin(client: Client, wanted: job_pb2.Job, request_id: str) -> Job:
    job = client.submit(
        wanted.spec,
        request_id=request_id,
        display_name=wanted.display_name,
        labels=dict(wanted.labels),
        priority=wanted.priority,
    )
    if job.state in ("FAILED", "CANCELLED"):  # by an earlier attempt: this one is there to try again
        _log(f"{job.name} is {job.state}: queued again, what was measured is kept")
        job.retry()
    _log(f"{job.name} {job.state}")
    return job


def _follow(job: Job, chosen: argparse.Namespace) -> Outcome:
    for event in job.watch(timeout=chosen.timeout):
        line = plain(event)
        if line:
            _log(line)
    job.refresh()
    if job.state == "FAILED":
        return Outcome(job, JOB_FAILED, False, str(job.error))
    if job.state == "CANCELLED":
        return Outcome(job, CANCELLED, False, f"{job.name} was cancelled")
    if chosen.download:
        job.download(chosen.download)
    return Outcome(job, SUCCESS, False, job.report.headline, chosen.download or "")


def _cancel(job: Job) -> None:
    try:
        job.cancel()
    except errors.FailedPrecondition:  # it had ended
        job.refresh()


def _failure(job: Job | None, error: Exception) -> Outcome:
    code = exit_code(error)
    no_room = isinstance(error, errors.StockpotError) and error.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    if code == UNREACHABLE or no_room:
        return Outcome(job, RETRYABLE, True, str(error))
    return Outcome(job, code if code in (BAD_INPUT, OTHER) else OTHER, False, str(error))


def _finish(outcome: Outcome, chosen: argparse.Namespace) -> int:
    """Outputs first: who sees the line finds the files."""
    if outcome.message:
        _log(outcome.message if outcome.exit_code == SUCCESS else f"error: {outcome.message}")
    try:
        if chosen.outputs:
            outcome.write(chosen.outputs)
        if chosen.github_output:
            outcome.append_to(os.environ["GITHUB_OUTPUT"])
        if outcome.job is not None and outcome.exit_code == SUCCESS:
            _publish(outcome.job.report, chosen)
    except Exception as error:  # a tracker's own kinds too; the soup is made, and the line has to say so
        message = f"the job is done, but not all was written: {error!r}"
        _log(f"error: {message}")
        outcome = dataclasses.replace(outcome, exit_code=outcome.exit_code or OTHER, message=message)
    print(outcome.line(), flush=True)
    return outcome.exit_code


def _publish(report: Report, chosen: argparse.Namespace) -> None:
    if chosen.html:
        pathlib.Path(chosen.html).absolute().parent.mkdir(parents=True, exist_ok=True)
        report.to_html(chosen.html)
    if chosen.mlflow:
        tracking.log_to_mlflow(report)
    if chosen.wandb:
        tracking.log_to_wandb(report)


def _print_digest(client: Client, job: job_pb2.Job, chosen: argparse.Namespace) -> int:
    digest = digest_of(client, job.spec)
    if chosen.outputs:
        os.makedirs(chosen.outputs, exist_ok=True)
        with open(os.path.join(chosen.outputs, "inputs_sha256"), "w", encoding="utf-8") as file:
            file.write(digest)
    print(json.dumps({"inputs_sha256": digest}), flush=True)
    return SUCCESS
