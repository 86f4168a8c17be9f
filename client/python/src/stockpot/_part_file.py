"""A file that is being downloaded: FILE.part holds verified bytes only, and becomes FILE when the whole has its sum."""

from __future__ import annotations

import hashlib
import os
import pathlib
from types import TracebackType

from .errors import Aborted, DataLoss

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two downloads of one file apart
    fcntl = None  # type: ignore[assignment]

_READ_BYTES = 1 << 20


class PartFile:
    """Goes on from what an earlier download left, unless that is longer than `expected_size`. A lock keeps others out.

    Raises Aborted when another process downloads the same file, OSError.
    """

    def __init__(self, path: pathlib.Path, expected_size: int):
        self._path = path
        self._part = path.with_name(path.name + ".part")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._file = os.fdopen(os.open(self._part, flags, 0o666), "r+b")
        try:
            self._lock()
            self._read_existing(expected_size)
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Aborted(f"{self._part}: another process downloads this file") from error

    def _read_existing(self, expected_size: int) -> None:
        self._sum = hashlib.sha256()
        self.size = 0
        if os.fstat(self._file.fileno()).st_size > expected_size:
            self._file.truncate(0)
        while piece := self._file.read(_READ_BYTES):
            self._sum.update(piece)
            self.size += len(piece)

    def append(self, data: bytes) -> None:
        self._file.write(data)
        self._sum.update(data)
        self.size += len(data)

    def commit(self, sha256: str) -> None:
        """Flushes, compares and renames. Raises DataLoss when the sum differs; the .part is removed then."""
        found = self._sum.hexdigest()
        if found != sha256:
            self._part.unlink()
            raise DataLoss(f"{self._path}: the bytes that came have SHA-256 {found}, the server promised {sha256}")
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._part, self._path)

    def __enter__(self) -> PartFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def has_content(path: pathlib.Path, size: int, sha256: str) -> bool:
    """Whether `path` is a file of this size and sum. False when it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size != size:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
    except OSError:
        return False
    return digest.hexdigest() == sha256
