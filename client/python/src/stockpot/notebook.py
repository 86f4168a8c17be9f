"""A job's progress on a terminal or in a notebook, by rich (the extra `notebook`): `job.wait(progress=True)`."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ._event_text import segments
from .v1 import job_pb2


class ProgressView:
    """A bar with what runs now; a line for each candidate that was decided. A context manager."""

    def __init__(self, title: str, console: Console | None = None):
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[activity]}", style="dim"),
            console=console,
        )
        self._task = self._progress.add_task(escape(title), total=None, activity="", left="")

    def show(self, event: job_pb2.JobEvent) -> None:
        if event.HasField("progress"):
            now = event.progress
            left = f"about {now.estimated_seconds_left:.0f} s left" if now.estimated_seconds_left > 0 else ""
            self._progress.update(
                self._task,
                completed=now.tasks_done,
                total=max(now.tasks_total, now.tasks_done) or None,
                activity=escape(now.activity),
                left=left,
            )
        line = describe(event)
        if line:
            self._progress.console.print(line)

    def __enter__(self) -> ProgressView:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        task = self._progress.tasks[0]
        self._progress.update(self._task, completed=task.total or 1, total=task.total or 1, activity="", left="")


def describe(event: job_pb2.JobEvent) -> str:
    """The event as a line of rich's markup; "" where it needs none."""
    return "".join(f"[{style}]{escape(text)}[/]" if style else escape(text) for style, text in segments(event))
