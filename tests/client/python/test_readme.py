"""The README's example does what it says."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import pytest

from support import Server

README = pathlib.Path(__file__).parents[3] / "README.md"


@pytest.mark.timeout(900)  # a hundred passes of 250 images, on a machine that may be busy
def test_the_example(
    server: Server, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timm = pytest.importorskip("timm")
    pil = pytest.importorskip("PIL.Image")
    pytest.importorskip("pandas")
    from safetensors.torch import save_model
    from stockpot.data import save_images

    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("STOCKPOT_SERVER", server.address)
    monkeypatch.chdir(folder)
    random = np.random.default_rng(5)
    for name in ["held_out", "test"]:
        pixels = random.integers(0, 256, (20, 40, 60, 3), np.uint8)
        save_images(
            ((pil.fromarray(each), i % 10) for i, each in enumerate(pixels)), name, [f"class{i}" for i in range(10)]
        )
    (folder / "sweep").mkdir()
    for i in range(3):
        save_model(timm.create_model("test_resnet", num_classes=10), str(folder / "sweep" / f"{i}.safetensors"))
    # A small model of small images: a batch has 250 of them.
    small = '"test_resnet", pretrained_cfg_overlay={"input_size": (3, 32, 32)},'
    exec(example.replace('"resnet50",', small), {})
    assert (folder / "soup" / "soup.safetensors").exists()
    assert "candidate" in capsys.readouterr().out
