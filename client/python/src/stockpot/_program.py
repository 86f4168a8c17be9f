"""The command line of the package: `python -m stockpot report JOB -o report.html`; `stockpot-report` is the same,
and `python -m stockpot step` is `stockpot-step` (see stockpot.pipeline).

Exit codes are those of the `stockpot` program: 0 success, 2 bad input, 4 the server cannot be reached, 5 anything else.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

import grpc

from . import errors
from .client import Client
from .report import Report

STEP = (
    "Runs a soup job as one step of a pipeline: outputs as files of one value each, one line of JSON on standard"
    " output, exit code 75 when another attempt may succeed."
)
SUCCESS, BAD_INPUT, UNREACHABLE, OTHER = 0, 2, 4, 5
_BAD_INPUT = (
    errors.InvalidArgument,
    errors.NotFound,
    errors.FailedPrecondition,
    errors.AlreadyExists,
    errors.OutOfRange,
    errors.PermissionDenied,
    errors.Unauthenticated,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `python -m stockpot ARGUMENTS` and gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stockpot", description="What the `stockpot` program leaves to Python."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_report(
        commands.add_parser("report", help="Write a job's report as one page of HTML", description=_add_report.__doc__)
    )
    step = commands.add_parser("step", help="Run a job as one step of a pipeline", description=STEP)
    _add_step(step)
    return _run(parser, arguments)


def step_main(arguments: Sequence[str] | None = None) -> int:
    """Runs `stockpot-step ARGUMENTS`."""
    parser = argparse.ArgumentParser(prog="stockpot-step", description=STEP)
    _add_step(parser)
    return _run(parser, arguments)


def report_main(arguments: Sequence[str] | None = None) -> int:
    """Runs `stockpot-report ARGUMENTS`."""
    parser = argparse.ArgumentParser(prog="stockpot-report", description=_add_report.__doc__)
    _add_report(parser)
    return _run(parser, arguments)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except (errors.StockpotError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)
    return code


def exit_code(error: Exception) -> int:
    if isinstance(error, _BAD_INPUT) or isinstance(error, OSError) and not isinstance(error, errors.StockpotError):
        return BAD_INPUT
    code = error.code if isinstance(error, errors.StockpotError) else grpc.StatusCode.UNKNOWN
    unreachable = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return UNREACHABLE if code in unreachable else OTHER


def _add_step(parser: argparse.ArgumentParser) -> None:
    from .pipeline import add_arguments, run

    add_arguments(parser)
    add_connection(parser)
    parser.set_defaults(run=run)


def _add_report(parser: argparse.ArgumentParser) -> None:
    """Writes a job's report as one page that needs no network: tables, figures, why each candidate was kept."""
    parser.add_argument(
        "job",
        metavar="JOB",
        help=(
            "jobs/x or x on the server; or a file ending in .json, or - for standard input, with what `stockpot get"
            " --json` printed, or a report.json"
        ),
    )
    parser.add_argument("-o", "--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    parser.add_argument("--figures", metavar="FOLDER", help="also write each figure there as a file of its own")
    parser.add_argument(
        "--figure-format", choices=["svg", "png"], action="append", help="may be given twice (default: svg)"
    )
    parser.add_argument(
        "--dark", action="store_true", help="figures for a dark background; the page follows its reader"
    )
    add_connection(parser)
    parser.set_defaults(run=_report)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The flags of the `stockpot` program that say where the server is and who asks."""
    group = parser.add_argument_group("the server")
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "--server",
        metavar="ADDRESS",
        help="HOST:PORT or unix:PATH (default: $STOCKPOT_SERVER, else the context's, else 127.0.0.1:8433)",
    )
    place.add_argument(
        "--context",
        metavar="NAME",
        help="the server by its name (stockpot context; default: $STOCKPOT_CONTEXT, else the current one)",
    )
    group.add_argument("--client", metavar="NAME", help="who asks (default: $STOCKPOT_CLIENT)")
    group.add_argument("--tls", action="store_true", help="connect with TLS and the system's authorities")
    group.add_argument(
        "--ca-file", metavar="FILE", help="connect with TLS and these authorities, PEM (default: $STOCKPOT_CA_FILE)"
    )
    group.add_argument("--certificate-file", metavar="FILE", help="the client's certificate, PEM, for mutual TLS")
    group.add_argument("--key-file", metavar="FILE", help="its private key, PEM")
    group.add_argument(
        "--token-file", metavar="FILE", help="a file with the token that says who asks (default: $STOCKPOT_TOKEN_FILE)"
    )

    group.add_argument(
        "--allow-insecure-token",
        action="store_true",
        help="send the token although the connection to another machine is plaintext",
    )
    group.add_argument(
        "--reconnect-timeout",
        metavar="SECONDS",
        type=float,
        default=300.0,
        help="how long to try again when the connection is lost (default 300)",
    )


def connect(chosen: argparse.Namespace) -> Client:
    return Client(
        chosen.server,
        context=chosen.context,
        client=chosen.client,
        tls=chosen.tls,
        ca_file=chosen.ca_file,
        certificate_file=chosen.certificate_file,
        key_file=chosen.key_file,
        token_file=chosen.token_file,
        allow_insecure_token=chosen.allow_insecure_token,
        reconnect_timeout=chosen.reconnect_timeout,
    )


def _report(chosen: argparse.Namespace) -> int:
    from .page import to_html, write_figures

    report = _find(chosen)
    print(to_html(report, chosen.out))
    if chosen.figures:
        formats = list(dict.fromkeys(chosen.figure_format or ["svg"]))
        for path in write_figures(report, chosen.figures, formats, "dark" if chosen.dark else "light"):
            print(path)
    return SUCCESS


def _find(chosen: argparse.Namespace) -> Report:
    from .page import read_job

    if chosen.job == "-":
        return read_job(sys.stdin.buffer.read(), "standard input")
    if chosen.job.endswith(".json") or os.sep in chosen.job and not chosen.job.startswith("jobs/"):
        return read_job(pathlib.Path(chosen.job).read_bytes(), chosen.job)
    with connect(chosen) as client:
        return client.job(chosen.job).report
