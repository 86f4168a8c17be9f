"""Architectures equal their models, through the real server too; what would not work is refused with the reason."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import stockpot
from safetensors.torch import save_file
from stockpot.export import Exported, ExportRefused, export
from torch import Tensor, nn

torch.set_num_threads(1)


class Branches(nn.Module):
    """What a trace would get wrong: the code depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if x.sum() > 0:
            y = -y
        return y


class Remembers(nn.Module):
    """Weights that were computed with when the model was made: others put in by name change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.cache: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.cache:
            self.cache.append(self.layer.weight.detach().clone())
        return x @ self.cache[0].T


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embed(input_ids) * attention_mask.unsqueeze(2) * self.scale
        return {"hidden": hidden, "logits": self.head(hidden)}


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.zeros(int(x.shape[0]), 3)


def equal_again(exported: Exported, model: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Loaded anew, the file gives what the model gives."""
    found = torch.jit.load(str(exported.path))(*inputs)
    with torch.no_grad():
        assert (found - model(*inputs)).abs().max().item() <= 1e-5


def test_plain_models(tmp_path: pathlib.Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    exported = export(model, tmp_path / "a" / "model.pt", torch.randn(1, 4))
    assert exported.method == "trace" and exported.max_difference <= 1e-5 and exported.output_shape == (3,)
    assert [(each.data_set_input, each.argument) for each in exported.bindings] == [("input", "input")]
    assert model.training and all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    equal_again(exported, model.eval(), torch.randn(7, 4))
    assert export(model, tmp_path / "s.pt", torch.randn(2, 4), method="script").method == "script"
    double = export(model.double(), tmp_path / "d.pt", torch.randn(2, 4).double())
    assert torch.jit.load(str(double.path)).state_dict()["0.weight"].dtype == torch.float32


def test_names_and_ties_survive(tmp_path: pathlib.Path) -> None:
    ids = torch.randint(0, 11, (2, 6))
    exported = export(Tied(), tmp_path / "t.pt", {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    assert [each.argument for each in exported.bindings] == ["input_ids", "attention_mask"]
    assert exported.output_shape == (6, 11) and not exported.notes
    with pytest.raises(ExportRefused, match="no 'nothing'"):
        export(Tied(), tmp_path / "t.pt", [ids, torch.ones_like(ids)], output="nothing")
    assert export(Tied(), tmp_path / "h.pt", [ids, torch.ones_like(ids)], output="hidden").output_shape == (6, 8)


def test_what_cannot_be_traced_is_scripted(tmp_path: pathlib.Path) -> None:
    torch.manual_seed(0)
    assert export(Branches(), tmp_path / "b.pt", torch.randn(2, 4)).method == "script"
    with pytest.raises(ExportRefused, match="differs from the model"):
        export(Branches(), tmp_path / "c.pt", torch.randn(2, 4), method="trace")
    assert not list(tmp_path.glob("c.pt*"))


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)))


def hollow() -> nn.Module:
    with torch.device("meta"):
        return nn.Linear(4, 3)


def integers() -> nn.Module:
    model = nn.Linear(4, 3)
    model.packed = nn.Parameter(torch.zeros(3, dtype=torch.uint8), requires_grad=False)
    return model


class Stateful(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"a": 1}


@pytest.mark.parametrize(
    "make, words",
    [
        (quantised, "quantised"),
        (hollow, "device meta"),
        (integers, "packed holds torch.uint8"),
        (lambda: nn.LazyLinear(3), "no shape yet"),
        (lambda: Stateful(4, 3), "extra state"),
        (lambda: torch.jit.script(nn.Linear(4, 3)), "TorchScript already"),
        (lambda: "model", "expected a torch.nn.Module"),
        (Remembers, "other weights put in by name"),
        (FixedBatch, "a batch of 1"),
        (lambda: nn.Flatten(0), "the output is"),
    ],
)
def test_refusals(make: Callable[[], nn.Module], words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ExportRefused, match=words):
        export(make(), tmp_path / "m.pt", torch.randn(2, 4), method="trace")
    assert not list(tmp_path.iterdir())


def test_wrappers_are_taken_off(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("networkx")  # of torch.compile
    model = nn.Linear(4, 3)
    for wrapped in [nn.DataParallel(model), torch.compile(model)]:
        exported = export(wrapped, tmp_path / "m.pt", torch.randn(2, 4))
        assert set(torch.jit.load(str(exported.path)).state_dict()) == {"weight", "bias"}
    with pytest.raises(ExportRefused, match="takes input; got x"):
        export(model, tmp_path / "m.pt", {"x": torch.randn(2, 4)})
    with pytest.raises(ExportRefused, match="give inputs"):
        export(model, tmp_path / "m.pt")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_timm(name: str, tmp_path: pathlib.Path) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model(name, num_classes=5).eval()
    exported = export(model, tmp_path / "m.pt")
    assert exported.output_shape == (5,)
    (binding,) = exported.bindings
    assert binding.data_set_input == "images" and binding.scale_to_unit
    config = timm.data.resolve_data_config(model=model)
    assert binding.mean == pytest.approx(config["mean"]) and binding.standard_deviation == pytest.approx(config["std"])
    transform = exported.image_transform
    assert transform is not None and transform.crop_height == config["input_size"][1]
    equal_again(exported, model, torch.randn(3, *config["input_size"]))


def test_transformers_text(tmp_path: pathlib.Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    model = transformers.BertForSequenceClassification(config).eval()
    exported = export(model, tmp_path / "m.pt")
    assert [each.argument for each in exported.bindings] == ["input_ids", "attention_mask"]
    ids, mask = torch.randint(0, 50, (3, 16)), torch.ones(3, 16, dtype=torch.long)
    equal_again(exported, lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits, ids, mask)
    model.save_pretrained(tmp_path / "checkpoint")
    assert model.config.use_cache or not hasattr(model.config, "use_cache")  # the original stays as it is


def test_transformers_language_model(tmp_path: pathlib.Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    model = transformers.GPT2LMHeadModel(config).eval()
    exported = export(model, tmp_path / "m.pt")
    assert exported.output_shape == (16, 50)


def test_transformers_images(tmp_path: pathlib.Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    exported = export(transformers.ViTForImageClassification(config), tmp_path / "m.pt")
    assert exported.bindings[0].data_set_input == "images" and exported.bindings[0].normalize_as_held_out


def test_open_clip(tmp_path: pathlib.Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    vision = open_clip.CLIPVisionCfg(layers=2, width=64, head_width=16, patch_size=16, image_size=32)
    model = open_clip.CLIP(
        16, vision, open_clip.CLIPTextCfg(context_length=8, vocab_size=50, width=16, heads=2, layers=1)
    )
    exported = export(model.eval(), tmp_path / "m.pt")
    assert exported.output_shape == (16,) and exported.image_transform is not None
    assert exported.image_transform.resize_shorter_side == 32
    assert set(model.state_dict()) <= set(torch.jit.load(str(exported.path)).state_dict())
    equal_again(exported, model.encode_image, torch.randn(2, 3, 32, 32))


def test_through_the_server(client: stockpot.Client, folder: pathlib.Path) -> None:
    """The score of a transformers model's checkpoint is that of the model in Python."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    ids, lengths = torch.randint(0, 50, (40, 12)), torch.randint(1, 13, (40, 1))
    mask = (torch.arange(12)[None] < lengths).long()
    models = [transformers.BertForSequenceClassification(config).eval() for _ in range(2)]
    with torch.no_grad():
        labels = models[0](input_ids=ids, attention_mask=mask).logits.argmax(1)
        right = [(m(input_ids=ids, attention_mask=mask).logits.argmax(1) == labels).sum().item() for m in models]
    for i, model in enumerate(models):
        model.save_pretrained(folder / f"model_{i}")
    save_file({"input_ids": ids, "attention_mask": mask, "labels": labels}, folder / "held_out.safetensors")
    job = client.submit(
        architecture=export(models[0], folder / "model.pt"),
        ingredients=[folder / "model_*"],
        held_out=folder / "held_out.safetensors",
        full_scores=True,
    )
    report = job.result(120)
    found = [each.scores[0].score.top1_correct for each in report.result.ingredients]
    assert found == right and right[0] == 40
