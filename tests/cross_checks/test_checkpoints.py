"""Checkpoints that real packages wrote: every name, type, shape and value that Stockpot reads, or why it does not."""

import functools
import pathlib
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import checkpoint_files
import fixtures
from checkpoint_case import Case, Weights
from service import Refused


@functools.cache
def cases() -> list[Case]:
    return list(checkpoint_files.write_all(fixtures.service().folder / "checkpoints"))


class Holder(nn.Module):
    """Has tensors under these names, and outputs that do not depend on them: to make a soup needs an architecture."""

    def __init__(self, weights: Weights):
        super().__init__()
        below: dict[str, Weights] = {}
        for name, tensor in weights.items():
            first, _, rest = name.partition(".")
            if rest:
                below.setdefault(first, {})[rest] = tensor
            elif tensor.is_floating_point():
                self.register_parameter(first, nn.Parameter(tensor))
            else:
                self.register_buffer(first, tensor)
        for name, inner in below.items():
            self.add_module(name, Holder(inner))

    def forward(self, features: Tensor) -> Tensor:
        return features * 2


def soup_of_one(case: Case) -> Weights:
    """What a job writes whose only ingredient the adapter is."""
    assert case.base
    folder = pathlib.Path(tempfile.mkdtemp(dir=fixtures.service().folder))
    features = torch.eye(4)
    torch.jit.trace(Holder(load_file(case.base)), features).save(folder / "architecture.pt")
    save_file({"features": features, "labels": torch.arange(4)}, folder / "held_out.safetensors")
    spec = {
        "model": {
            "architecture_uri": str(folder / "architecture.pt"),
            "base_uri": str(case.base),
            "inputs": [{"data_set_input": "features"}],
        },
        "ingredients": [{"uri": str(case.path)}],
        "evaluation": {"held_out": {"uri": str(folder / "held_out.safetensors")}},
        "recipe": {"uniform": {}},
    }
    return load_file(fixtures.service().run(spec).folder / "soup.safetensors")


def plain_file(case: Case) -> pathlib.Path:
    """The expected tensors alone, in a file of their own."""
    path = fixtures.service().folder / "expected" / f"{checkpoint_files.file_name(case)}.safetensors"
    return checkpoint_files.save_weights(case.weights, path)


class Checkpoints(fixtures.CrossCheck):
    def assert_weights(self, found: Weights, expected: Weights, tolerance: float) -> None:
        self.assertEqual(sorted(found), sorted(expected))
        for name, tensor in expected.items():
            self.assertEqual(found[name].dtype, tensor.dtype, name)
            self.assertEqual(found[name].shape, tensor.shape, name)
            torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance, msg=name)

    def check_inspected(self, case: Case) -> None:
        """The content's digest is that of a plain file of the expected tensors: it covers names, types, shapes and bytes."""
        flags = [f"--state-dict-key={case.key}"] if case.key else []
        inspected = fixtures.service().inspect(case.path, *flags)
        plain = fixtures.service().inspect(plain_file(case))
        self.assertEqual(inspected["tensors"], plain["tensors"])
        self.assertEqual(inspected["digest"], plain["digest"])
        for note in case.notes:
            self.assertTrue(any(note in said for said in inspected["notes"]), (note, inspected["notes"]))

    def check_adapter(self, case: Case) -> None:
        """Merged into its base by a job, by `stockpot merge` and for InspectSource: the same bits, close to peft's."""
        base = f"--base={case.base}"
        soup = soup_of_one(case)
        self.assert_weights(soup, case.weights, case.tolerance)
        self.assert_weights(load_file(fixtures.service().merge(case.path, base)), soup, tolerance=0.0)
        inspected = fixtures.service().inspect(case.path, base)
        self.assertEqual(inspected["tensors"], fixtures.service().inspect(plain_file(case))["tensors"])

    def check_refused(self, case: Case) -> None:
        flags = [f"--base={case.base}"] if case.base else []
        for read in (fixtures.service().inspect, fixtures.service().merge):
            with self.assertRaises(Refused) as refusal:
                read(case.path, *flags)
            self.assertIn(case.refused, str(refusal.exception))

    def check(self, case: Case) -> None:
        if case.refused:
            self.check_refused(case)
        elif case.base:
            self.check_adapter(case)
        else:
            self.check_inspected(case)
            if not case.key:  # which `stockpot merge` does not have
                self.assert_weights(load_file(fixtures.service().merge(case.path)), case.weights, tolerance=0.0)

    def test_real_files(self):
        for case in cases():
            with self.subTest(case.name):
                self.check(case)
