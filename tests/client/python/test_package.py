"""The package as it is installed: wheel and source distribution hold what they should, and the types are clean."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import stockpot

PACKAGE = pathlib.Path(__file__).parents[3] / "client" / "python"


def run(*command: object, folder: pathlib.Path = PACKAGE) -> str:
    done = subprocess.run([str(each) for each in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def build(*arguments: object, folder: pathlib.Path = PACKAGE) -> None:
    pytest.importorskip("hatchling")
    run(sys.executable, "-m", "hatchling", "build", *arguments, folder=folder)


def contents(wheel: pathlib.Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_a_wheel_from_the_repository_and_from_a_source_distribution(tmp_path: pathlib.Path) -> None:
    build("--target", "wheel", "--directory", tmp_path / "direct")
    build("--target", "sdist", "--directory", tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    assert not list(source.rglob("*_pb2.py"))  # made when the wheel is
    build("--target", "wheel", "--directory", tmp_path / "again", folder=source)
    (direct,), (again,) = (tmp_path / "direct").glob("*.whl"), (tmp_path / "again").glob("*.whl")
    assert contents(direct) == contents(again)
    assert {"stockpot/py.typed", "stockpot/v1/spec_pb2.py", "stockpot/v1/spec_pb2.pyi"} <= contents(direct)
    # A folder of its own, without what the tests' environment has installed of it.
    site = tmp_path / "site"
    zipfile.ZipFile(direct).extractall(site)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import stockpot; print(stockpot.__file__)"
    assert run(sys.executable, "-P", "-c", code, folder=tmp_path).startswith(str(site))


@pytest.mark.timeout(600)  # most of it for the first time: numpy's and torch's types
def test_types_are_clean() -> None:
    if shutil.which("mypy", path=pathlib.Path(sys.executable).parent) is None:
        pytest.skip("mypy is not installed")
    where = pathlib.Path(stockpot.__file__).parents[1]
    settings = ["--config-file", PACKAGE / "pyproject.toml", "--cache-dir", pathlib.Path(sys.prefix) / "mypy_cache"]
    assert "Success" in run(sys.executable, "-m", "mypy", *settings, folder=where)
