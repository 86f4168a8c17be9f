"""The servers that a user knows by name: the file of `stockpot context`, which is read here and never written.

It holds no secret, only the names of files that do. client/cli/contexts.h says what stands in it.
"""

from __future__ import annotations

import os
import pathlib
import stat
from dataclasses import dataclass, fields, replace

from ._yaml import parse_yaml
from .errors import InvalidArgument

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Context:
    """A server and how it is spoken to; "": not said."""

    server: str = ""
    client: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token_file: str = ""
    tls: bool = False


def find_context(name: str | None) -> Context:
    """That of this name, else of $STOCKPOT_CONTEXT, else the current one; nothing where there is none of these.

    Raises InvalidArgument: a name that is not there, or a file with a mistake.
    """
    path = context_file()
    document = _read(path) if path is not None else {}
    wanted = name or os.environ.get("STOCKPOT_CONTEXT") or document.get("current")
    if not wanted:
        return Context()
    contexts = document.get("contexts") or {}
    if not isinstance(contexts, dict) or not isinstance(wanted, str):
        raise InvalidArgument(f"{path}: expected current: NAME, and contexts: {{NAME: {{server: …}}}}")
    if wanted not in contexts:
        known = f"; there are {', '.join(map(str, contexts))}" if contexts else ": make it with stockpot context set"
        raise InvalidArgument(f"there is no context '{wanted}'{known}")
    return _parse(contexts[wanted], f"{path}: contexts.{wanted}", pathlib.Path(path or ".").parent)


def context_file() -> str | None:
    """What is not absolute does not count, as the XDG base directory specification says."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not folder.startswith("/"):
        if not os.environ.get("HOME"):
            return None
        folder = os.path.join(os.environ["HOME"], ".config")
    return os.path.join(folder, "stockpot", "contexts.yaml")


def _read(path: str) -> dict[object, object]:
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgument(f"{path}: is no file")
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > _MAX_BYTES:
        raise InvalidArgument(f"{path}: is above 1 MiB")
    document = parse_yaml(text, path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidArgument(f"{path}: expected `current` and `contexts`")
    return document


def _parse(found: object, place: str, folder: pathlib.Path) -> Context:
    if not isinstance(found, dict):
        raise InvalidArgument(f"{place}: expected the fields of a context")
    context = Context()
    for key, value in found.items():
        if key == "token":
            raise InvalidArgument(f"{place}.token: a secret: put it into a file that only you can read, and give token_file")
        kind = next((type(each.default) for each in fields(Context) if each.name == key), None)
        if kind is None:
            raise InvalidArgument(f"{place}.{key}: expected one of {', '.join(each.name for each in fields(Context))}")
        if not isinstance(value, kind):
            raise InvalidArgument(f"{place}.{key}: expected {'true or false' if kind is bool else 'a string'}")
        if key.endswith("_file") and value:
            value = os.path.normpath(os.path.join(folder, str(value)))
        context = replace(context, **{key: value})
    if not context.server:
        raise InvalidArgument(f"{place}: has no server: HOST:PORT or unix:PATH")
    return context
