"""What PyTorch and PyTorch Lightning themselves write while they train, and TorchScript archives."""

import pathlib
import warnings
from collections.abc import Iterator

import lightning
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as distributed_state

from checkpoint_case import Case, Weights, randomize, weights_of


class Net(nn.Module):
    """With statistics, a buffer of whole numbers and a parameter that two layers share."""

    def __init__(self, seed: int = 8):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.inner = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8, bias=False)
        self.again.weight = self.inner.weight
        self.head = nn.Linear(8, 5)
        self.register_buffer("class_ids", torch.arange(5))
        randomize(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.again(self.inner(self.stem(images).mean((2, 3)))))


def train_once(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(torch.rand(6, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    return optimizer


class Classifier(lightning.LightningModule):
    """Holds its network as `model`, and the classes' weights beside it, as many do."""

    def __init__(self, rate: float = 1e-3, weighted: bool = False):
        super().__init__()
        self.save_hyperparameters()
        self.model = Net()
        self.loss = nn.CrossEntropyLoss(weight=torch.ones(5) if weighted else None)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        images, labels = batch
        return self.loss(self.model(images), labels)

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.rate)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}


def fit(module: lightning.LightningModule, folder: pathlib.Path) -> lightning.Trainer:
    examples = torch.utils.data.TensorDataset(torch.rand(8, 3, 8, 8), torch.arange(8) % 5)
    keep = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=folder, filename="kept")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", devices=1, callbacks=[keep], default_root_dir=folder, **quiet
        )
        trainer.fit(module, torch.utils.data.DataLoader(examples, batch_size=4))
    return trainer


def write_lightning(folder: pathlib.Path) -> Iterator[Case]:
    for weighted in (False, True):
        module = Classifier(weighted=weighted)
        path = folder / f"weighted_{weighted}.ckpt"
        fit(module, folder / f"kept_{weighted}").save_checkpoint(path)
        what = "model and a loss's weights" if weighted else "model"
        notes = ("taken from key 'state_dict'", "prefix 'model.' removed")
        weights = weights_of(module.model)
        yield Case(f"Lightning: {what}", path, weights, notes=notes)
        kept = folder / f"kept_{weighted}/kept.ckpt"
        yield Case(f"Lightning: {what}, ModelCheckpoint", kept, weights, notes=notes)


def save_fully_sharded(path: pathlib.Path) -> Weights:
    """The full state dict of a model under FSDP2, as its tutorials save it."""
    store = f"file://{path.with_suffix('.store')}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))
        randomize(model, 9)
        weights = weights_of(model)
        torch.distributed.fsdp.fully_shard(model, mesh=mesh)
        options = distributed_state.StateDictOptions(full_state_dict=True, cpu_offload=True)
        torch.save(distributed_state.get_model_state_dict(model, options=options), path)
        return weights
    finally:
        torch.distributed.destroy_process_group()


def write_torch(folder: pathlib.Path) -> Iterator[Case]:
    folder.mkdir(parents=True)
    model = Net()
    compiled = torch.compile(model)
    torch.save(compiled.state_dict(), folder / "compiled.pt")
    notes = ("prefix '_orig_mod.' removed",)
    yield Case("torch: compiled module", folder / "compiled.pt", weights_of(model), notes=notes)

    optimizer = train_once(model)
    checkpoint = {"epoch": 3, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}
    torch.save(checkpoint, folder / "tutorial.tar")
    yield Case("torch: the tutorial's checkpoint", folder / "tutorial.tar", weights_of(model))

    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(Net(10))
    average.update_parameters(model)
    torch.save(average.state_dict(), folder / "averaged.pt")
    yield Case("torch: AveragedModel", folder / "averaged.pt", weights_of(average.module))

    weights = save_fully_sharded(folder / "fully_sharded.pt")
    yield Case("torch: full state dict of FSDP2", folder / "fully_sharded.pt", weights)

    torch.save(model.state_dict(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    refused = "of the format before PyTorch 1.6"
    yield Case("torch: legacy format", folder / "legacy.pt", weights_of(model), refused)
    torch.save(model, folder / "module.pt")
    yield Case("torch: a whole module", folder / "module.pt", weights_of(model), "save model.state_dict() instead")


def write_quantized(folder: pathlib.Path) -> Iterator[Case]:
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 4))
        dynamic = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        torch.save(dynamic.state_dict(), folder / "dynamic.pt")
        weight = torch.quantize_per_tensor(torch.randn(4, 6), 0.1, 0, torch.qint8)
    yield Case("torch: dynamically quantized", folder / "dynamic.pt", {}, "quantized")
    torch.save({"weight": weight}, folder / "quantized.pt")
    yield Case("torch: a quantized tensor", folder / "quantized.pt", {}, "only dense, plain tensors are read")


def write_torch_script(folder: pathlib.Path) -> Iterator[Case]:
    folder.mkdir(parents=True)
    model = Net().eval()
    scripted = torch.jit.script(model)
    scripted.save(folder / "scripted.pt")
    traced = torch.jit.trace(model, torch.rand(1, 3, 8, 8))
    traced.save(folder / "traced.pt")
    torch.jit.freeze(scripted).save(folder / "frozen.pt")
    half = torch.jit.script(Net().to(torch.bfloat16).eval())
    half.save(folder / "bfloat16.pt")
    for name in ("scripted", "traced", "bfloat16"):
        weights = weights_of(torch.jit.load(folder / f"{name}.pt"))
        yield Case(f"TorchScript: {name}", folder / f"{name}.pt", weights)
    # Its weights are constants, without the model's names.
    yield Case("TorchScript: frozen", folder / "frozen.pt", {}, refused="a frozen one?")
