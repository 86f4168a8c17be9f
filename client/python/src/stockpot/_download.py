"""DownloadArtifact into a folder: verified, resumed over lost connections and from what an earlier download left."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from ._crc32c import crc32c
from ._operation import DOWNLOAD_ARTIFACT, Open, Operation, Read, blocking
from ._part_file import PartFile, has_content
from ._reconnection import Reconnection
from .errors import DataLoss, FailedPrecondition, NotFound, StockpotError, Unavailable
from .v1 import job_pb2, soup_service_pb2 as service

# A damaged chunk is asked for again: the network may have done it once, not three times.
_MAX_DAMAGED = 3


def download(
    job: job_pb2.Job, folder: pathlib.Path, files: Sequence[str] | None, reconnect_timeout: float
) -> Operation[list[pathlib.Path]]:
    """Brings the job's artifacts, or those named in `files`, into `folder`; what is there already is not read again.

    Raises FailedPrecondition when the job has none, NotFound for a file it has not, DataLoss when what comes is not
    what the server promised, Unavailable, OSError.
    """
    paths = []
    for artifact in _choose(job, files):
        path = folder / artifact.file
        yield from blocking(lambda: path.parent.mkdir(parents=True, exist_ok=True))
        yield from FileDownload(job.name, artifact, path, reconnect_timeout).run()
        paths.append(path)
    return paths


def _choose(job: job_pb2.Job, files: Sequence[str] | None) -> list[job_pb2.ArtifactFile]:
    if not job.artifacts:
        state = job_pb2.Job.State.Name(job.state)
        raise FailedPrecondition(f"{job.name} has no files: it is {state}, and only a job that SUCCEEDED has")
    by_name = {artifact.file: artifact for artifact in job.artifacts}
    for name in by_name:
        if not _is_safe(name):
            raise DataLoss(f"the server names a file outside the folder: {name!r}")
    for name in files or ():
        if name not in by_name:
            raise NotFound(f"{job.name} has no file {name!r}; it has {', '.join(by_name)}")
    return [artifact for artifact in job.artifacts if files is None or artifact.file in files]


def _is_safe(name: str) -> bool:
    """Whether a file of this name stays below the folder it is written to, also where \\ divides folders."""
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and ":" not in parts[0] and all(part not in ("", ".", "..") for part in parts)


class FileDownload:
    def __init__(self, job: str, artifact: job_pb2.ArtifactFile, path: pathlib.Path, reconnect_timeout: float):
        self._job = job
        self._artifact = artifact
        self._path = path
        self._reconnection = Reconnection(reconnect_timeout)

    def run(self) -> Operation[None]:
        artifact = self._artifact
        if (yield from blocking(lambda: has_content(self._path, artifact.size_bytes, artifact.sha256))):
            return
        part = yield from blocking(lambda: PartFile(self._path, artifact.size_bytes))
        with part:
            resumed = part.size > 0
            try:
                return (yield from self._attempt(part))
            except DataLoss:
                if not resumed:
                    raise
        # What an earlier download left belonged to another soup: once more from the beginning.
        with (yield from blocking(lambda: PartFile(self._path, 0))) as part:
            yield from self._attempt(part)

    def _attempt(self, part: PartFile) -> Operation[None]:
        damaged = 0
        while part.size < self._artifact.size_bytes:
            try:
                yield from self._read_stream(part)
            except DataLoss:
                damaged += 1
                if damaged == _MAX_DAMAGED:
                    raise
            except StockpotError as failure:
                yield from self._reconnection.wait_or_raise(failure)
        yield from blocking(lambda: part.commit(self._artifact.sha256))

    def _read_stream(self, part: PartFile) -> Operation[None]:
        request = service.DownloadArtifactRequest(
            name=self._job, file=self._artifact.file, offset=part.size, expected_sha256=self._artifact.sha256
        )
        yield Open(DOWNLOAD_ARTIFACT, request, None)
        while True:
            chunk: service.ArtifactChunk | None = yield Read()
            if chunk is None:
                break
            yield from blocking(lambda: self._accept(chunk, part))
            self._reconnection.succeeded()
        if part.size < self._artifact.size_bytes:
            raise Unavailable("the stream ended before the file")

    def _accept(self, chunk: service.ArtifactChunk, part: PartFile) -> None:
        if not chunk.data:
            return
        file = self._artifact.file
        if crc32c(chunk.data) != chunk.crc32c:
            raise DataLoss(f"{file}: the chunk at byte {part.size} came damaged: its CRC-32C differs")
        if chunk.offset != part.size or len(chunk.data) > self._artifact.size_bytes - part.size:
            raise DataLoss(
                f"{file}: the server sent {len(chunk.data)} bytes for byte {chunk.offset} instead of {part.size}"
            )
        part.append(chunk.data)
