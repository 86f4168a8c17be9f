"""AOTInductor packages: what a job over one says is what it says over the model; others are refused, and no worker dies."""

from __future__ import annotations

import pathlib
import shutil
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import stockpot
from safetensors.torch import save_file
from stockpot.export import Exported, ExportRefused, export
from support import Server
from torch import Tensor, nn

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs g++")
torch.set_num_threads(1)


class Model(nn.Module):
    """Tied weights, a tensor that forward() does not use, small ones that a compiler likes to put into its code, and buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.norm, self.out = nn.BatchNorm1d(8), nn.Linear(11, 3)
        self.unused = nn.Parameter(torch.ones(2, 3))

    def forward(self, input_ids: Tensor, weights: Tensor) -> dict[str, Tensor]:
        mean = (self.embed(input_ids) * weights.unsqueeze(2)).mean(1)
        return {"logits": self.out(self.head(self.norm(mean)).relu())}


def inputs(count: int) -> dict[str, Tensor]:
    return {"input_ids": torch.randint(0, 11, (count, 5)), "weights": torch.rand(count, 5)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "trusted").mkdir()
    server = Server(folder, f"--allowed_compiled_architecture_prefix={folder / 'trusted'}")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def compiled(running: Server) -> Exported:
    torch.manual_seed(5)
    return export(Model(), running.folder / "trusted" / "model.pt2", inputs(2), method="compile")


@pytest.fixture(scope="module")
def sweep(running: Server) -> dict[str, Any]:
    torch.manual_seed(6)
    held_out = inputs(75)
    models = [Model().eval() for _ in range(4)]
    for i, model in enumerate(models):
        model.norm.running_mean.add_(0.1 * i)
        save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, running.folder / f"model_{i}.safetensors")
    with torch.no_grad():
        labels = models[0](**held_out)["logits"].argmax(1)
        labels[::3] = models[1](**held_out)["logits"].argmax(1)[::3]
    save_file({**held_out, "labels": labels}, running.folder / "held_out.safetensors")
    return {
        "ingredients": [running.folder / f"model_{i}.safetensors" for i in range(4)],
        "held_out": running.folder / "held_out.safetensors",
        "full_scores": True,
    }


@pytest.fixture
def client(running: Server) -> Iterator[stockpot.Client]:
    with stockpot.Client(running.address) as connected:
        yield connected


def test_a_job_says_what_it_says_over_torchscript(client: stockpot.Client, running: Server, compiled: Exported, sweep: Any) -> None:
    torch.manual_seed(5)
    script = export(Model(), running.folder / "model.pt", inputs(2))
    found = [client.submit(architecture=each, **sweep).result(120).result for each in (script, compiled)]
    counts = [[each.scores[0].score.top1_correct for each in result.ingredients] for result in found]
    assert counts[0] == counts[1] and len(set(counts[0])) > 1
    blends = [[list(blend.ingredients) for blend in result.blends] for result in found]
    assert blends[0] == blends[1]
    entropies = [[each.scores[0].score.cross_entropy for each in result.ingredients] for result in found]
    assert entropies[1] == pytest.approx(entropies[0], abs=1e-5)


def refusal(client: stockpot.Client, **arguments: Any) -> str:
    with pytest.raises(stockpot.StockpotError) as raised:
        client.submit(**arguments).result(120)
    return str(raised.value)


def test_only_where_the_operator_trusts_it(client: stockpot.Client, running: Server, compiled: Exported, sweep: Any) -> None:
    elsewhere = shutil.copy(compiled.path, running.folder / "elsewhere.pt2")
    linked = running.folder / "trusted" / "linked.pt2"
    linked.symlink_to(running.folder / "elsewhere2.pt2")
    # Of another digest than the one that may be loaded.
    with zipfile.ZipFile(elsewhere) as archive, zipfile.ZipFile(running.folder / "elsewhere2.pt2", "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
        other.writestr("elsewhere/extra", b"1")
    for path in (running.folder / "elsewhere2.pt2", linked):
        assert "--allowed_compiled_architecture_prefix" in refusal(client, architecture=path, **sweep)


def test_what_does_not_fit_is_refused(client: stockpot.Client, running: Server, compiled: Exported, sweep: Any) -> None:
    longer = {"input_ids": torch.randint(0, 11, (20, 9)), "weights": torch.rand(20, 9), "labels": torch.zeros(20, dtype=torch.int64)}
    save_file(longer, running.folder / "longer.safetensors")
    said = refusal(client, architecture=compiled, **{**sweep, "held_out": running.folder / "longer.safetensors"})
    assert "input_ids I64 [" in said and "9" in said
    assert "precision" in refusal(client, architecture=compiled, **sweep, compute={"precision": "BFLOAT16"})
    assert "channels_last" in refusal(client, architecture=compiled, **sweep, compute={"channels_last": True})
    assert "gradients" in refusal(client, architecture=compiled, **sweep, recipe={"learned": {}})


def test_damaged_packages_are_refused(client: stockpot.Client, running: Server, compiled: Exported, sweep: Any) -> None:
    with zipfile.ZipFile(compiled.path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    library = next(name for name in content if name.endswith(".so"))
    metadata = next(name for name in content if name.endswith("wrapper_metadata.json"))
    changes = {
        "no_library": {library: None},
        "no_program": {library: b"no program"},
        "no_metadata": {metadata: b"{"},
        "other_device": {metadata: content[metadata].replace(b'"cpu"', b'"cuda"')},
        "other_tensors": {metadata: content[metadata].replace(b"[11, 8]", b"[11, 9]")},
    }
    for name, changed in changes.items():
        path = running.folder / "trusted" / f"{name}.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            for entry, data in {**content, **changed}.items():
                if data is not None:
                    archive.writestr(entry.replace("model_part/", f"{name}/"), data)
        assert "ARCHITECTURE" in refusal(client, architecture=path, **sweep) or "package" in refusal(client, architecture=path, **sweep), name


@pytest.mark.parametrize("arguments", [{"precision": "int8"}, {"device": "tpu"}, {"method": "trace", "precision": "bfloat16"}])
def test_wrong_options(tmp_path: pathlib.Path, arguments: dict[str, str]) -> None:
    with pytest.raises(ExportRefused):
        export(nn.Linear(4, 3), tmp_path / "m.pt2", torch.randn(2, 4), **{"method": "compile", **arguments})
