"""YAML files that people write."""

from __future__ import annotations

import os
from typing import Any

from .errors import InvalidArgument


def parse_yaml(text: str | bytes, file: str | os.PathLike[str]) -> Any:
    """Raises InvalidArgument, which names the file and the place."""
    import yaml  # Few programs meet such a file.

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{file}: is not YAML: {error}") from error
