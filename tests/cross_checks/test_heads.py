"""From outputs to the logits of a set: class subsets, and classifiers over features. And tensors that the base model
gives instead of the ingredients."""

import functools

import torch
from safetensors.torch import load_file, save_file

import fixtures
import plain
from fixtures import CrossCheck, digits
from service import Job
from sweeps import Examples

SUBSET = [7, 1, 4]
SCALE = 20.0


@functools.cache
def classifier() -> dict[str, torch.Tensor]:
    """Of six classes, over the model's ten outputs as features."""
    generator = torch.Generator().manual_seed(9)
    return {"weight": torch.randn(6, 10, generator=generator), "bias": torch.randn(6, generator=generator)}


@functools.cache
def sets() -> dict[str, Examples]:
    test = digits().sets["test"]
    pixels = load_file(test.path)["images"]
    chosen = torch.isin(test.labels, torch.tensor(SUBSET))
    of_subset = torch.tensor([SUBSET.index(label) for label in test.labels[chosen].tolist()])
    return {
        "subset": save("subset", pixels[chosen], test.inputs[0][chosen], of_subset),
        "classified": save("classified", pixels, test.inputs[0], test.labels % 6),
    }


def save(name: str, pixels: torch.Tensor, images: torch.Tensor, labels: torch.Tensor) -> Examples:
    path = fixtures.service().folder / f"{name}.safetensors"
    save_file({"images": pixels, "labels": labels}, path)
    return Examples(path, (images,), labels)


@functools.cache
def job() -> Job:
    head = fixtures.service().folder / "classifier.safetensors"
    save_file(classifier(), head)
    report_sets = [
        {"name": "subset", "uri": str(sets()["subset"].path), "class_subset": SUBSET},
        {
            "name": "classified",
            "uri": str(sets()["classified"].path),
            "classifier": {"uri": str(head), "bias_tensor": "bias", "normalize_features": True, "scale": SCALE},
        },
    ]
    spec = digits().spec(report_sets=report_sets)
    spec["model"]["tensors_from_base"] = ["head.*"]
    return fixtures.service().run({**spec, "recipe": {"uniform": {}}})


@functools.cache
def soup() -> plain.Weights:
    mean = plain.uniform(list(digits().ingredients.values()))
    return {name: digits().base[name] if name.startswith("head.") else tensor for name, tensor in mean.items()}


class Heads(CrossCheck):
    def check(self, data_set: str, logits: torch.Tensor, examples: Examples) -> None:
        score = fixtures.data_set_scores(job().blend("uniform")["scores"])[data_set]
        self.assert_score(score, logits, examples)

    def test_tensors_from_the_base(self):
        held_out = digits().sets["held_out"]
        self.check("held_out", plain.outputs(digits().module, soup(), held_out.inputs), held_out)
        written = load_file(job().folder / "soup.safetensors")
        for name, tensor in soup().items():
            self.assertTrue(torch.equal(written[name], tensor), name)

    def test_class_subset(self):
        logits = plain.outputs(digits().module, soup(), sets()["subset"].inputs)
        self.check("subset", logits[:, SUBSET], sets()["subset"])

    def test_classifier(self):
        features = plain.outputs(digits().module, soup(), sets()["classified"].inputs)
        directions = torch.nn.functional.normalize(features, dim=1)
        logits = torch.nn.functional.linear(SCALE * directions, classifier()["weight"], classifier()["bias"])
        self.check("classified", logits, sets()["classified"])
