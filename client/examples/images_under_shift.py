"""The paper's main scenario in small: an image model, fine-tuned again and again, and the soup under distribution
shifts.

    python client/examples/images_under_shift.py --programs build/release/bin

pre-trains a small network on real scans of digits (they come with scikit-learn), fine-tunes it with eight random
choices of learning rate, epochs, label smoothing, noise and mixup, as the paper's random search does, and has
Stockpot compare the best single model with the uniform and the greedy soup, the ensemble and WiSE-FT: on a held-out
set, a test set that never chose, and the test set under four shifts. With so few scans to be wrong about, a soup may
gain nothing: the report says so then. Leaves the soup and report.html in --folder. About 25 seconds of a processor
for the training, and some for the server. Needs torch, scikit-learn and stockpot[notebook,report,torch].
"""

from __future__ import annotations

import argparse
import pathlib
import random
from dataclasses import dataclass

import sklearn.datasets
import torch
from private_server import private_server
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stockpot.data import save_tensors
from stockpot.export import export

FINE_TUNES = 8
MEAN, DEVIATION = 0.3, 0.375


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *[nn.Conv2d(1, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU()],
            *[nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.GroupNorm(4, 32), nn.SiLU()],
            *[nn.Conv2d(32, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(), nn.Flatten()],
        )
        self.head = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.head(self.layers(images))
        return result


@dataclass(frozen=True)
class Choice:
    """Of the random search."""

    rate: float
    epochs: int
    smoothing: float
    noise: float
    mixup: bool

    @staticmethod
    def draw(source: random.Random) -> Choice:
        return Choice(
            rate=10 ** source.uniform(-3.6, -2.8),
            epochs=source.randint(6, 12),
            smoothing=source.choice([0.0, 0.05, 0.1]),
            noise=source.choice([0.0, 0.1, 0.3]),
            mixup=source.random() < 0.3,
        )


def scans() -> tuple[Tensor, Tensor]:
    """1,797 real scans [N, 1, 8, 8] as 8-bit images, and their digits; in an order that does not change."""
    found = sklearn.datasets.load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(found.images, dtype=torch.float32).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    return images[order], torch.tensor(found.target)[order]


def normalised(images: Tensor) -> Tensor:
    return (images.float() / 255 - MEAN) / DEVIATION


def shifted(images: Tensor) -> dict[str, Tensor]:
    """The same scans as other cameras might see them."""
    unit = images.float() / 255
    noise = torch.randn(unit.shape, generator=torch.Generator().manual_seed(1))
    angle = torch.tensor(25.0).deg2rad()
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]]).expand(len(unit), 2, 3)
    changed = {
        "noise": unit + 0.25 * noise,
        "blur": F.avg_pool2d(unit, 3, 1, 1),
        "contrast": 0.35 + 0.3 * unit,
        "rotation": F.grid_sample(
            unit, F.affine_grid(turn, list(unit.shape), align_corners=False), align_corners=False
        ),
    }
    return {name: (255 * value).round().clamp(0, 255).to(torch.uint8) for name, value in changed.items()}


def train(model: Network, images: Tensor, labels: Tensor, choice: Choice, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=choice.rate)
    model.train()
    for _ in range(choice.epochs):
        for batch in torch.randperm(len(labels), generator=source).split(32):
            inputs = normalised(images[batch])
            inputs = inputs + choice.noise * torch.randn(inputs.shape, generator=source)
            targets = F.one_hot(labels[batch], 10).float()
            if choice.mixup:
                other = torch.randperm(len(batch), generator=source)
                inputs, targets = (0.7 * value + 0.3 * value[other] for value in (inputs, targets))
            optimiser.zero_grad()
            F.cross_entropy(model(inputs), targets, label_smoothing=choice.smoothing).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    model.eval()


def make_sweep(folder: pathlib.Path, images: Tensor, labels: Tensor, pretraining: int) -> None:
    """base.safetensors, and sweep/00.safetensors … of fine-tunes that all begin with it."""
    torch.manual_seed(0)
    base = Network()
    train(base, images[:pretraining], labels[:pretraining], Choice(3e-3, 15, 0.0, 0.1, False), seed=0)
    save_file(base.state_dict(), folder / "base.safetensors")
    (folder / "sweep").mkdir(exist_ok=True)
    source = random.Random(1)
    for i in range(FINE_TUNES):
        choice = Choice.draw(source)
        model = Network()
        model.load_state_dict(base.state_dict())
        train(model, images[pretraining:], labels[pretraining:], choice, seed=i + 1)
        save_file(model.state_dict(), folder / "sweep" / f"{i:02d}.safetensors")
        print(f"fine-tune {i + 1} of {FINE_TUNES}: {choice}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of stockpotd")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("images_under_shift"))
    chosen = parser.parse_args()
    folder = chosen.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)  # the network is small: threads would only wait for each other
    images, labels = scans()
    make_sweep(folder, images[:600], labels[:600], pretraining=250)
    held_out = save_tensors(folder / "held_out.safetensors", {"images": images[600:1100]}, labels[600:1100])
    test = save_tensors(folder / "test.safetensors", {"images": images[1100:]}, labels[1100:])
    shifts = {
        name: save_tensors(folder / f"{name}.safetensors", {"images": changed}, labels[1100:])
        for name, changed in shifted(images[1100:]).items()
    }
    architecture = export(
        Network(),
        folder / "architecture.pt",
        {"images": torch.rand(2, 1, 8, 8)},
        bindings=[
            {"data_set_input": "images", "scale_to_unit": True, "mean": [MEAN], "standard_deviation": [DEVIATION]}
        ],
    )

    with private_server(chosen.programs, folder) as client:
        job = client.submit(
            display_name="Scans of digits under shift",
            architecture=architecture,
            base=folder / "base.safetensors",
            ingredients=[folder / "sweep" / "*.safetensors"],
            held_out=held_out,
            final_set=test,
            shift_sets=shifts,
            recipe={"greedy": {}, "wise_ft": {}},
            comparisons=["uniform", "learned", "logit-ensemble", "greedy-logit-ensemble"],
            analysis={
                "angles": True,
                "calibration": True,
                "landscape": {"first": "base", "second": "00.safetensors", "third": "01.safetensors"},
            },
            report_every_ingredient=True,
            full_scores=True,
        )
        report = job.result(progress=True)
        job.download(folder / "soup")
        print(report)
        print(report.to_html(folder / "report.html"))


if __name__ == "__main__":
    main()
