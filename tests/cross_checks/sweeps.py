"""Small sweeps on real data: the models, how they are trained, and the files that Stockpot is given.

Every sweep is a pre-trained model and fine-tunes of it. Seeds are fixed; nothing depends on the exact weights.
"""

import pathlib
from dataclasses import dataclass, field

import sklearn.datasets
import tokenizers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Examples:
    """A data set: the file that Stockpot reads, and the arguments and labels of the model."""

    path: pathlib.Path
    inputs: tuple[Tensor, ...]
    labels: Tensor


@dataclass(frozen=True, eq=False)  # one is only ever the same as itself
class Sweep:
    """A pre-trained model, its fine-tunes by name in the order of the spec, and data sets by name."""

    module: nn.Module
    architecture: pathlib.Path
    base: Weights
    base_path: pathlib.Path
    ingredients: dict[str, Weights]
    paths: dict[str, pathlib.Path]
    sets: dict[str, Examples]
    bindings: list[dict] = field(default_factory=list)

    def spec(self, held_out: str = "held_out", **evaluation) -> dict:
        """A job on these files, with the recipe still to say."""
        return {
            "model": {
                "architecture_uri": str(self.architecture),
                "base_uri": str(self.base_path),
                "inputs": self.bindings,
            },
            "ingredients": [{"uri": str(path), "display_name": name} for name, path in self.paths.items()],
            "evaluation": {"held_out": {"name": held_out, "uri": str(self.sets[held_out].path)}, **evaluation},
            "compute": {"batch_size": 128},
        }

    def report_set(self, name: str, role: str = "TEST") -> dict:
        return {"name": name, "uri": str(self.sets[name].path), "role": role}


def weights_of(module: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def train(
    module: nn.Module, start: Weights | None, inputs, labels, loss, rate: float, epochs: int, seed: int
) -> Weights:
    """AdamW from `start` (none: from the seed's own initial weights)."""
    if start is not None:
        module.load_state_dict(start)
    module.train()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=generator).split(50):
            optimizer.zero_grad()
            loss(module(*(value[batch] for value in inputs)), labels[batch]).backward()
            optimizer.step()
    return weights_of(module.eval())


def save_examples(
    path: pathlib.Path, tensors: dict[str, Tensor], inputs: tuple[Tensor, ...], labels: Tensor
) -> Examples:
    save_file({**{name: tensor.contiguous() for name, tensor in tensors.items()}, "labels": labels}, path)
    return Examples(path, inputs, labels)


def save_sweep(
    folder: pathlib.Path, module, base, ingredients, sets, bindings, save=save_file, suffix="safetensors"
) -> Sweep:
    """Writes the architecture, scripted, and the checkpoints."""
    architecture = folder / "architecture.pt"
    torch.jit.script(module.eval()).save(str(architecture))
    paths = {name: folder / f"{name}.{suffix}" for name in ["base", *ingredients]}
    for name, weights in {"base": base, **ingredients}.items():
        save(weights, paths[name])
    base_path = paths.pop("base")
    return Sweep(module, architecture, base, base_path, ingredients, paths, sets, bindings)


# ---- digits: images, BatchNorm, classification


class DigitNet(nn.Module):
    """Two convolutions with BatchNorm, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(256, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.silu(self.first_norm(self.first(images)))
        hidden = F.silu(self.second_norm(self.second(hidden)))
        return self.head(hidden.flatten(1))


MEAN, DEVIATION = 0.3125, 0.375  # exact in float32


def normalise(images: Tensor) -> Tensor:
    return (images.float() / 255 - MEAN) / DEVIATION


def noisy(images: Tensor, deviation: float, seed: int) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) * deviation
    return (images.float() + noise).round().clamp(0, 255).to(torch.uint8)


def smoothed(smoothing: float):
    return lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=smoothing)


# name: learning rate, label smoothing, noise of the images, epochs. The last two are there to be rejected.
DIGIT_RUNS = {
    "plain": (0.002, 0.0, 0.0, 6),
    "slow": (0.001, 0.0, 40.0, 6),
    "smooth": (0.002, 0.2, 20.0, 6),
    "noise": (0.002, 0.0, 60.0, 8),
    "long": (0.003, 0.1, 40.0, 12),
    "short": (0.003, 0.0, 60.0, 3),
    "wild": (0.03, 0.0, 0.0, 4),
    "wilder": (0.03, 0.3, 80.0, 3),
}


def digits(folder: pathlib.Path) -> Sweep:
    """scikit-learn's 8x8 scans as 8-bit images; all that is measured has noise, so that errors remain."""
    folder.mkdir()
    data = sklearn.datasets.load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(1))
    images = torch.tensor(data.images * 15).to(torch.uint8).unsqueeze(1)[order]
    labels = torch.tensor(data.target, dtype=torch.int64)[order]
    pretraining, tuning, held_out, test = (slice(0, 250), slice(250, 650), slice(650, 1150), slice(1150, 1797))

    torch.manual_seed(2)
    module = DigitNet()
    base = train(module, None, [normalise(images[pretraining])], labels[pretraining], F.cross_entropy, 0.003, 6, 3)
    ingredients = {}
    for seed, (name, (rate, smoothing, noise, epochs)) in enumerate(DIGIT_RUNS.items()):
        seen = normalise(noisy(images[tuning], noise, 100 + seed))
        ingredients[name] = train(module, base, [seen], labels[tuning], smoothed(smoothing), rate, epochs, seed)

    def save(name: str, pixels: Tensor, of: slice) -> Examples:
        return save_examples(folder / f"{name}.safetensors", {"images": pixels}, (normalise(pixels),), labels[of])

    shifted = noisy(images[test].roll(1, dims=3), 50, 6)
    sets = {
        "held_out": save("held_out", noisy(images[held_out], 60, 4), held_out),
        "test": save("test", noisy(images[test], 60, 5), test),
        "shifted": save("shifted", shifted, test),
        "training": save("training", noisy(images[tuning], 60, 7), tuning),
    }
    binding = {"data_set_input": "images", "scale_to_unit": True, "mean": [MEAN], "standard_deviation": [DEVIATION]}
    return save_sweep(folder, module, base, ingredients, sets, [binding])


# ---- diabetes: regression


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 32)
        self.output = nn.Linear(32, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.output(torch.tanh(self.hidden(features)))


def diabetes(folder: pathlib.Path) -> Sweep:
    """scikit-learn's diabetes data: ten measurements, and the progression after a year (standardised)."""
    folder.mkdir()
    data = sklearn.datasets.load_diabetes()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(1))
    features = torch.tensor(data.data * 20, dtype=torch.float32)[order]
    targets = torch.tensor((data.target - 150) / 75, dtype=torch.float32)[order]
    tuning, held_out, test = slice(0, 180), slice(180, 310), slice(310, 442)

    def loss(outputs: Tensor, wanted: Tensor) -> Tensor:
        return F.mse_loss(outputs.squeeze(1), wanted)

    torch.manual_seed(2)
    module = Regressor()
    base = train(module, None, [features[:90]], targets[:90], loss, 0.01, 10, 3)
    ingredients = {
        f"rate_{rate}": train(module, base, [features[tuning]], targets[tuning], loss, rate, 20, seed)
        for seed, rate in enumerate([0.003, 0.01, 0.02, 0.04])
    }

    def save(name: str, of: slice) -> Examples:
        return save_examples(folder / f"{name}.safetensors", {"features": features[of]}, (features[of],), targets[of])

    sets = {"held_out": save("held_out", held_out), "test": save("test", test)}
    return save_sweep(folder, module, base, ingredients, sets, [])


# ---- sentences: tokens, two named inputs, checkpoints of torch.save


class Encoder(nn.Module):
    """One layer of self-attention over word pieces, and the mean over those that are there."""

    def __init__(self, vocabulary: int, length: int, width: int = 24):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.attention = nn.Linear(width, 3 * width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.words(input_ids) + self.positions
        query, key, value = self.attention(hidden).chunk(3, dim=-1)
        scores = query @ key.transpose(1, 2) / query.size(-1) ** 0.5
        scores = scores.masked_fill(attention_mask.unsqueeze(1) == 0, -1e9)
        hidden = self.norm(hidden + scores.softmax(-1) @ value)
        there = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return self.head((hidden * there).sum(1) / there.sum(1))


def read_sentences(path: pathlib.Path) -> list[tuple[float, str]]:
    """Rating (-4 to 4) and sentence of each line: number, rating, sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(float(rating), text) for _, rating, text in (line.split("\t", 2) for line in lines if line.strip())]


def save_nested(weights: Weights, path: pathlib.Path) -> None:
    """As trainers do: below `state_dict`, each name with a prefix."""
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}, "epoch": 3}, path)


LENGTH = 32


def sentences(folder: pathlib.Path, text: pathlib.Path) -> Sweep:
    """Film reviews; tweets and newspaper sentences are other distributions of the same two classes."""
    folder.mkdir()
    reviews = read_sentences(text / "movieReviewSnippets_GroundTruth.txt")
    tokenizer = tokenizers.BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator([sentence for _, sentence in reviews[:6000]], vocab_size=1500, show_progress=False)
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)

    def encode(rated: list[tuple[float, str]]) -> tuple[dict[str, Tensor], Tensor]:
        rated = [(rating, sentence) for rating, sentence in rated if rating != 0]
        encodings = tokenizer.encode_batch([sentence for _, sentence in rated])
        tokens = {
            "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
            "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        }
        return tokens, torch.tensor([int(rating > 0) for rating, _ in rated])

    def save(name: str, rated: list[tuple[float, str]]) -> Examples:
        tokens, labels = encode(rated)
        return save_examples(folder / f"{name}.safetensors", tokens, tuple(tokens.values()), labels)

    # The file is sorted by review, so that neighbours are of one opinion.
    reviews = [reviews[i] for i in torch.randperm(len(reviews), generator=torch.Generator().manual_seed(1)).tolist()]
    sets = {
        "held_out": save("held_out", reviews[8000:9000]),
        "test": save("test", reviews[9000:10000]),
        "tweets": save("tweets", read_sentences(text / "tweets_GroundTruth.txt")[:1000]),
        "newspaper": save("newspaper", read_sentences(text / "nytEditorialSnippets_GroundTruth.txt")[:1000]),
    }
    tokens, labels = encode(reviews[:8000])
    arguments = list(tokens.values())
    torch.manual_seed(2)
    module = Encoder(tokenizer.get_vocab_size(), LENGTH)
    base = train(module, None, [value[:3000] for value in arguments], labels[:3000], F.cross_entropy, 0.003, 3, 3)
    runs = {"slow": (0.0005, 0.0, 2), "fast": (0.003, 0.0, 1), "smooth": (0.002, 0.1, 2), "long": (0.001, 0.0, 3)}
    ingredients = {
        name: train(
            module, base, [value[3000:] for value in arguments], labels[3000:], smoothed(smoothing), rate, epochs, seed
        )
        for seed, (name, (rate, smoothing, epochs)) in enumerate(runs.items())
    }
    # The other way round than forward() has them: they must be given by name.
    bindings = [{"data_set_input": name, "argument": name} for name in ["attention_mask", "input_ids"]]
    return save_sweep(folder, module, base, ingredients, sets, bindings, save_nested, "pt")


# ---- tweets: a language model


class LanguageModel(nn.Module):
    def __init__(self, vocabulary: int, width: int = 32):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.memory(self.tokens(tokens))[0])


def tweets(folder: pathlib.Path, text: pathlib.Path) -> Sweep:
    """The next byte-pair token of tweets; -100 where a tweet has ended."""
    folder.mkdir()
    lines = [sentence for _, sentence in read_sentences(text / "tweets_GroundTruth.txt")][:1600]
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(lines, vocab_size=400, show_progress=False)
    tokenizer.enable_truncation(17)
    rows = [torch.tensor(encoding.ids) for encoding in tokenizer.encode_batch(lines) if len(encoding.ids) > 1]
    inputs = nn.utils.rnn.pad_sequence([row[:-1] for row in rows], batch_first=True)
    labels = nn.utils.rnn.pad_sequence([row[1:] for row in rows], batch_first=True, padding_value=-100)

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    torch.manual_seed(2)
    module = LanguageModel(tokenizer.get_vocab_size())
    base = train(module, None, [inputs[:600]], labels[:600], loss, 0.01, 3, 3)
    ingredients = {
        f"rate_{rate}": train(module, base, [inputs[600:1200]], labels[600:1200], loss, rate, 2, seed)
        for seed, rate in enumerate([0.003, 0.01, 0.02])
    }

    def save(name: str, of: slice) -> Examples:
        return save_examples(folder / f"{name}.safetensors", {"tokens": inputs[of]}, (inputs[of],), labels[of])

    sets = {"held_out": save("held_out", slice(1200, 1400)), "test": save("test", slice(1400, 1600))}
    return save_sweep(folder, module, base, ingredients, sets, [])
