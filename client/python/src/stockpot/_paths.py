"""Local paths as the server is to see them: absolute. URIs stay as they are."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from google.protobuf.message import Message

from .errors import InvalidArgument


def absolute(path: str | os.PathLike[str], folder: str | os.PathLike[str] = "") -> str:
    """Below `folder`, the current one by default."""
    text = os.fspath(path)
    if "://" in text or not text:
        return text
    end = "/" if text.endswith("/") and text != "/" else ""
    return os.path.normpath(os.path.join(os.getcwd(), folder, text)) + end


def make_absolute(message: Message, folder: str | os.PathLike[str] = "") -> None:
    """Every path in `message`: architecture_uri, uri, uri_pattern, …; what the API gets later too."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING and "uri" in field.name and isinstance(value, str):
            setattr(message, field.name, absolute(value, folder))
        elif isinstance(value, Message):
            make_absolute(value, folder)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value:
                make_absolute(each, folder)


def expand(patterns: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The files that match each pattern, absolute and sorted within a pattern; each file once.

    A URI, and a path without wildcards, stands for itself and need not exist here: the server may be on another machine.
    Raises InvalidArgument when a pattern matches nothing.
    """
    found: dict[str, None] = {}
    for pattern in [os.fspath(each) for each in patterns]:
        # A file whose name merely looks like a pattern is meant literally.
        is_pattern = "://" not in pattern and any(c in pattern for c in "*?[") and not os.path.exists(pattern)
        paths = sorted(glob.glob(pattern), key=os.fsencode) if is_pattern else [pattern]
        if not paths:
            raise InvalidArgument(f"ingredients: no file matches {pattern!r}")
        found.update((absolute(path), None) for path in paths)
    return list(found)
