"""Events of a job in words, as a terminal, a notebook or a log shows them."""

from __future__ import annotations

from .v1 import job_pb2

Segment = tuple[str, str]  # a style of rich's ("bold", "green", …; "" for none), and text


def segments(event: job_pb2.JobEvent) -> list[Segment]:
    """A line, without its end; empty where the event needs none."""
    if event.HasField("candidate_decided"):
        decided, step = event.candidate_decided, event.candidate_decided.step
        head = ("", f"{decided.position} of {decided.candidate_count}: {step.candidate} ")
        if step.passed_over:
            return [head, ("", "passed over")]
        return [head, *([("green", "✓"), ("", " accepted")] if step.accepted else [("red", "✗"), ("", " rejected")])]
    if event.HasField("state_changed"):
        changed = event.state_changed
        message = f": {changed.message}" if changed.message else ""
        return [("bold", job_pb2.Job.State.Name(changed.state)), ("", message)]
    if event.HasField("ingredient_inspected") and event.ingredient_inspected.problem:
        inspected = event.ingredient_inspected
        return [("yellow", "left out"), ("", f" {inspected.display_name}: {inspected.problem}")]
    if event.HasField("attempt_failed"):
        return [("yellow", "an attempt failed"), ("", f": {event.attempt_failed.message}")]
    if event.HasField("epoch_learned"):
        epoch = event.epoch_learned
        return [("", f"epoch {epoch.epoch} of {epoch.epoch_count}: loss {epoch.mean_loss:.4f}")]
    return []


def plain(event: job_pb2.JobEvent) -> str:
    """The line for a log: what others named cannot move a terminal's cursor."""
    line = "".join(text for _, text in segments(event))
    return "".join(character if character.isprintable() else "�" for character in line)
