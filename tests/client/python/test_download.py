"""Files come whole, over lost connections and from what an earlier download left, or not at all."""

from __future__ import annotations

import hashlib
import os
import pathlib
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import stockpot
from stockpot import errors
from stockpot._crc32c import crc32c
from stockpot._download import FileDownload, download
from stockpot._operation import Blocking, Open, Read
from stockpot._part_file import PartFile
from stockpot.v1 import job_pb2, soup_service_pb2 as service
from support import MODELS, Proxy, Server


@pytest.fixture(scope="module")
def large(server: Server) -> stockpot.Job:
    """A soup of wide.pt's 32 MiB."""
    folder = server.folder / "large"
    folder.mkdir()
    random = np.random.default_rng(1)
    shapes = {"first": (2048, 4), "middle": (2048, 4096), "last": (3, 4096)}
    save_file(
        {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, folder / "a.safetensors"
    )
    save_file({"x": np.ones((2, 4), np.float32), "labels": np.zeros(2, np.int64)}, folder / "data.safetensors")
    job = stockpot.Client(server.address).submit(
        architecture=MODELS / "wide.pt", ingredients=[folder / "a.safetensors"], held_out=folder / "data.safetensors"
    )
    job.result(120)
    return job


def test_the_soup_is_the_mean(done: stockpot.Job, tmp_path: pathlib.Path) -> None:
    paths = done.download(tmp_path / "new" / "folder")
    assert {path.name for path in paths} == {each.file for each in done.artifacts}
    assert not list(tmp_path.rglob("*.part"))
    soup = load_file(tmp_path / "new" / "folder" / "soup.safetensors")
    names = done.report.chosen.ingredients
    uris = {each.display_name: each.uri for each in done.report.result.ingredients}
    mean = np.mean([load_file(uris[name])["weight"] for name in names], axis=0)
    np.testing.assert_allclose(soup["weight"], mean, atol=1e-6)


def test_goes_on_where_a_connection_broke_off(server: Server, large: stockpot.Job, tmp_path: pathlib.Path) -> None:
    proxy = Proxy(server.port, cut_after=12 << 20)
    with stockpot.Client(proxy.address) as client:
        (path,) = stockpot.Job(large.message, client._driver).download(tmp_path, ["soup.safetensors"])
    assert proxy.cuts >= 2  # 32 MiB in pieces of 12
    artifact = next(each for each in large.artifacts if each.file == "soup.safetensors")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
    proxy.stop()


@pytest.mark.parametrize("left", ["half", "other", "longer"])
def test_goes_on_from_what_is_there(large: stockpot.Job, tmp_path: pathlib.Path, left: str, monkeypatch: Any) -> None:
    (whole,) = large.download(tmp_path / "whole", ["soup.safetensors"])
    content = whole.read_bytes()
    part = tmp_path / "soup.safetensors.part"
    part.write_bytes({"half": content[: len(content) // 2], "other": b"\xff" * 1000, "longer": content + b"x"}[left])
    received = []
    append = PartFile.append
    monkeypatch.setattr(PartFile, "append", lambda self, data: (received.append(len(data)), append(self, data)))
    (path,) = large.download(tmp_path, ["soup.safetensors"])
    assert path.read_bytes() == content and not part.exists()
    assert sum(received) == {"half": len(content) - len(content) // 2, "other": 2 * len(content) - 1000}.get(
        left, len(content)
    )
    received.clear()
    assert large.download(tmp_path, ["soup.safetensors"]) == [path] and not received


def test_another_download_of_the_file_is_left_alone(large: stockpot.Job, tmp_path: pathlib.Path) -> None:
    with PartFile(tmp_path / "soup.safetensors", 1 << 30), pytest.raises(errors.Aborted, match="another process"):
        large.download(tmp_path, ["soup.safetensors"])
    with pytest.raises(errors.NotFound, match="no file 'nothing'"):
        large.download(tmp_path, ["nothing"])


def serve(answers: list[Any], path: pathlib.Path, content: bytes) -> list[int]:
    """Downloads `content` from a server that answers so: chunks, errors, None. Gives the offsets that were asked for."""
    artifact = job_pb2.ArtifactFile(file="f", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    operation = FileDownload("jobs/x", artifact, path, 300).run()
    asked: list[int] = []
    answer: Any = None
    while True:
        try:
            effect = operation.throw(answer) if isinstance(answer, Exception) else operation.send(answer)
        except StopIteration:
            return asked
        answer = None
        if isinstance(effect, Open):
            asked.append(effect.request.offset)
        elif isinstance(effect, Read):
            answer = answers.pop(0)
        elif isinstance(effect, Blocking):
            try:
                answer = effect.function()
            except errors.StockpotError as error:
                answer = error


def chunk(offset: int, data: bytes, wrong: int = 0) -> service.ArtifactChunk:
    return service.ArtifactChunk(offset=offset, data=data, crc32c=crc32c(data) ^ wrong)


def test_a_damaged_chunk_is_asked_for_again(tmp_path: pathlib.Path) -> None:
    answers = [chunk(0, b"abc"), chunk(3, b"def", wrong=1), chunk(3, b"def"), None]
    assert serve(answers, tmp_path / "f", b"abcdef") == [0, 3]
    assert (tmp_path / "f").read_bytes() == b"abcdef"


@pytest.mark.parametrize(
    "answers, words",
    [
        ([chunk(0, b"abc", wrong=1)] * 3, "CRC-32C differs"),
        ([chunk(1, b"abc")] * 3, "for byte 1 instead of 0"),
        ([chunk(0, b"abcdefg")] * 3, "7 bytes for byte 0"),
        ([chunk(0, b"abcdeX"), None], "the server promised"),
    ],
)
def test_what_was_not_promised_is_not_kept(answers: list[Any], words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.DataLoss, match=words):
        serve(list(answers), tmp_path / "f", b"abcdef")
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("name", ["../up", "/absolute", "a//b", "a/./b", "", "a\\..\\b", "C:/x", "a\0b"])
def test_files_stay_below_the_folder(name: str, tmp_path: pathlib.Path) -> None:
    job = job_pb2.Job(name="jobs/x", artifacts=[job_pb2.ArtifactFile(file=name)])
    with pytest.raises(errors.DataLoss, match="outside the folder"):
        next(download(job, tmp_path, None, 1))


def test_crc32c() -> None:
    def plainly(data: bytes) -> int:
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF

    assert crc32c(b"123456789") == 0xE3069283
    for size in [*range(70), 1000, 4097]:
        for data in (os.urandom(size), bytes(size)):
            assert crc32c(data) == plainly(data)
