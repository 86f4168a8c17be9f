"""Writes the checkpoints of real packages that Stockpot is to read, each with what is expected of it:

    python checkpoint_files.py FOLDER

makes FOLDER/PACKAGE/… and FOLDER/expected/NAME.safetensors, and lists them as JSON lines. test_checkpoints.py uses them.
"""

import json
import pathlib
import sys
from collections.abc import Iterator

from safetensors.torch import save_file

import adapter_files
import training_files
import transformers_files
import vision_files
from checkpoint_case import Case, Weights, Writer

WRITERS: list[Writer] = [
    transformers_files.write_transformers,
    transformers_files.write_sharded,
    transformers_files.write_accelerate,
    vision_files.write_timm,
    vision_files.write_open_clip,
    training_files.write_lightning,
    training_files.write_torch,
    training_files.write_quantized,
    training_files.write_torch_script,
    adapter_files.write_lora,
    adapter_files.write_refused,
]


def write_all(folder: pathlib.Path) -> Iterator[Case]:
    for write in WRITERS:
        yield from write(folder / write.__name__.removeprefix("write_"))


def save_weights(weights: Weights, path: pathlib.Path) -> pathlib.Path:
    """One plain file, which holds a tensor that two names share twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, path)
    return path


def file_name(case: Case) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in case.name)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1]).resolve()
    for case in write_all(target):
        expected = save_weights(case.weights, target / "expected" / f"{file_name(case)}.safetensors")
        print(json.dumps({"name": case.name, "path": str(case.path), "expected": str(expected)}), flush=True)
