"""Weights of images, out of every format that has them, and of a language model's tokens."""

import csv
import functools
import io
import json
import tarfile

import numpy
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import fixtures
import plain
import sweeps
from fixtures import CrossCheck, tweets
from service import Job
from sweeps import Examples, Sweep

TUNING, HELD_OUT = slice(0, 600), slice(600, 1100)


class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


@functools.cache
def digits() -> tuple[Sweep, Tensor]:
    """scikit-learn's scans as PNG files with a weight each, a quarter of them 0: a sweep, and the weights."""
    folder = fixtures.service().folder / "weighted"
    folder.mkdir()
    data = sklearn.datasets.load_digits()
    noise = numpy.random.default_rng(5).integers(0, 120, data.images.shape)
    grey = numpy.clip(data.images * 15 + noise, 0, 255).astype(numpy.uint8)
    images = torch.tensor(grey)[:, None].repeat(1, 3, 1, 1).float() / 255
    labels = torch.tensor(data.target, dtype=torch.int64)
    weights = torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    weights[::4] = 0
    rows = list(zip(grey[HELD_OUT], labels[HELD_OUT].tolist(), weights.tolist(), strict=True))
    with tarfile.open(folder / "set.tar", "w") as tar, open(folder / "set.csv", "w", newline="") as table:
        manifest = csv.writer(table)
        manifest.writerow(["path", "label", "importance"])
        for i, (pixels, label, weight) in enumerate(rows):
            buffer = io.BytesIO()
            Image.fromarray(pixels).convert("RGB").save(buffer, "png")
            (folder / f"{i}.png").write_bytes(buffer.getvalue())
            manifest.writerow([f"{i}.png", label, repr(weight)])
            described = json.dumps({"digit": label, "importance": weight}).encode()
            for name, content in [(f"{i}.png", buffer.getvalue()), (f"{i}.json", described)]:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    lines = [{"path": f"{i}.png", "label": label, "importance": weight} for i, (_, label, weight) in enumerate(rows)]
    (folder / "set.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    module = Pixels()
    ingredients = {
        f"rate_{rate}": sweeps.train(module, None, [images[TUNING]], labels[TUNING], F.cross_entropy, rate, 3, seed)
        for seed, rate in enumerate([0.002, 0.01, 0.05, 0.2])
    }
    held_out = {"held_out": Examples(folder / "set.csv", (images[HELD_OUT],), labels[HELD_OUT])}
    bindings = [{"data_set_input": "images", "scale_to_unit": True}]
    first = next(iter(ingredients.values()))
    return sweeps.save_sweep(folder, module, first, ingredients, held_out, bindings), weights


def run(sweep: Sweep, metric: str, held_out: dict, **evaluation) -> Job:
    spec = sweep.spec(metric=metric, **evaluation)
    spec["evaluation"]["held_out"].update(held_out)
    return fixtures.service().run({**spec, "recipe": {"greedy": {}}})


def scores(logits: Tensor, labels: Tensor, weights: Tensor) -> dict[str, float]:
    """Of the labels that count, in float64, as PyTorch weights a loss and NumPy a mean."""
    counts = labels != -100
    rows, truth, weight = logits[counts].double(), labels[counts], weights[counts].double()
    right = rows.argmax(1) == truth
    among_five = (rows.topk(5, dim=1).indices == truth[:, None]).any(1)
    loss = numpy.average(F.cross_entropy(rows, truth, reduction="none"), weights=weight)
    return {
        "weight_sum": weight.sum().item(),
        "top1": numpy.average(right, weights=weight),
        "top5": numpy.average(among_five, weights=weight),
        "top1_weight": weight[right].sum().item(),
        "cross_entropy": loss,
        "perplexity": numpy.exp(loss),
    }


class Weighted(CrossCheck):
    def assert_weighted(self, job: Job, sweep: Sweep, weights: Tensor, kinds: list[str]) -> None:
        for kind in kinds:
            blend = job.blend(kind)
            expected = scores(fixtures.outputs(sweep, fixtures.blended(sweep, blend)), held_out(sweep).labels, weights)
            score = blend["scores"][0]["score"]
            for name in ["weight_sum", "top1", "top5", "top1_weight"]:
                self.assert_close(float(score[name]), expected[name], fixtures.EXACT * weights.numel(), name)
            for name in ["cross_entropy", *(["perplexity"] if "perplexity" in score else [])]:
                self.assert_close(score[name], expected[name], fixtures.LOSS_TOLERANCE * max(1, expected[name]), name)

    def assert_greedy_by_loss(self, job: Job, sweep: Sweep, weights: Tensor) -> None:
        def loss(names: tuple[str, ...]) -> float:
            return scores(fixtures.soup_outputs(sweep, names), held_out(sweep).labels, weights)["cross_entropy"]

        order = sorted(sweep.ingredients, key=lambda name: loss((name,)))
        soup, steps = plain.greedy(order, lambda names: -loss(names))
        self.assertEqual(job.result["order"], order)
        self.assertEqual([step["accepted"] for step in job.result["steps"]], [step.accepted for step in steps])
        self.assertEqual(job.blend("greedy")["ingredients"], soup)

    def test_images_of_every_format(self):
        sweep, weights = digits()
        tar = {"label_tensor": "json:digit", "weight_tensor": "json:importance"}
        results = []
        for name, fields in [("set.csv", {}), ("set.jsonl", {}), ("set.tar", tar)]:
            uri = str(held_out(sweep).path.parent / name)
            job = run(sweep, "CROSS_ENTROPY", {"uri": uri, "weight_tensor": "importance", **fields})
            with self.subTest(name):
                self.assert_weighted(job, sweep, weights, ["best_single", "uniform", "greedy"])
                self.assert_greedy_by_loss(job, sweep, weights)
            results.append(job.result["steps"])
        self.assertEqual(results[1:], results[:1] * 2)

    def test_tokens_of_a_language_model(self):
        examples = tweets().sets["held_out"]
        weights = torch.rand(examples.labels.shape, generator=torch.Generator().manual_seed(9))
        weights[weights < 0.2] = 0
        path = examples.path.parent / "weighted.safetensors"
        save_file({"tokens": examples.inputs[0].contiguous(), "labels": examples.labels, "importance": weights}, path)
        found = {"uri": str(path), "weight_tensor": "importance"}
        job = run(tweets(), "PERPLEXITY", found, problem="LANGUAGE_MODEL")
        self.assert_weighted(job, tweets(), weights, ["best_single", "uniform", "greedy"])
        self.assert_greedy_by_loss(job, tweets(), weights)


def held_out(sweep: Sweep) -> Examples:
    return sweep.sets["held_out"]
