"""The programs of client/examples do what they say, from training to the page."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from support import programs

EXAMPLES = pathlib.Path(__file__).parents[3] / "client" / "examples"
TEXT = (
    pathlib.Path(os.environ.get("STOCKPOT_CROSS_CHECKS") or pathlib.Path.home() / ".cache/stockpot/cross_checks")
    / "text"
)


@pytest.mark.timeout(1200)  # half a minute of a processor each; on a machine that may be busy
@pytest.mark.parametrize(
    "name, needs, figures",
    [
        ("images_under_shift", ["sklearn"], ["shifts", "path-0"]),
        ("sentences", ["transformers", "tokenizers"], ["shifts", "path-0"]),
        ("unseen_data_set", ["transformers", "tokenizers"], ["path-0"]),
    ],
)
def test_example(name: str, needs: list[str], figures: list[str], tmp_path: pathlib.Path) -> None:
    for package in ["torch", "vl_convert", "rich", *needs]:
        pytest.importorskip(package)
    flags = ["--text", str(TEXT)] if "transformers" in needs else []
    if flags and not TEXT.exists():
        pytest.skip(f"there are no sentences in {TEXT}: deploy/install-dependencies --cross-checks brings them")
    command = [sys.executable, EXAMPLES / f"{name}.py", "--programs", programs(), "--folder", tmp_path, *flags]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "SUCCEEDED" in done.stdout and "greedy" in done.stdout
    assert (tmp_path / "soup" / "soup.safetensors").exists()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'id="figure-{figure}"' in page for figure in figures)
