"""Writes the tiny TorchScript architectures beside this file. Run once by hand (needs torch 2.11):

    python tests/support/models/make_models.py

The tests read the committed .pt files, so they need no Python. All take x float32 [N, 4] and give
3 logits unless their comment says otherwise; `linear.pt` and those with its tensors (weight [3, 4],
bias [3]) share checkpoints.
"""
import os
import zipfile
from typing import Dict, NamedTuple, Tuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear


class Linear(nn.Module):
    """weight [3, 4], bias [3]."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Throws(Linear):
    """Raises an exception of its own."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 0:
            raise ValueError("this model refuses to run")
        return linear(x, self.weight, self.bias)


class ThrowsAboveTwo(Linear):
    """As linear.pt for one or two examples; for more it raises an exception of its own."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 2:
            raise ValueError("too many at once")
        return linear(x, self.weight, self.bias)


class Crash(Linear):
    """Kills its process: fills an array from row bounds that nothing checks (SIGSEGV)."""

    def forward(self, x: Tensor) -> Tensor:
        rows = torch._convert_indices_from_csr_to_coo(torch.tensor([0, 1 << 40]), torch.tensor([0]))
        return linear(x, self.weight, self.bias) + rows.sum()


class Slow(Linear):
    """As linear.pt, but takes milliseconds a batch, so that a test can disturb it."""

    def forward(self, x: Tensor) -> Tensor:
        busy = torch.zeros(1000)
        for _ in range(1000):
            busy = busy + 1.0
        return linear(x, self.weight, self.bias) + busy.sum() * 0.0


class OutOfMemory(Linear):
    """As linear.pt for one or two examples; for more it asks for more memory than there can be."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 2:
            x = x + torch.empty(1 << 50)[0]
        return linear(x, self.weight, self.bias)


class GivesTuple(Linear):
    """(logits, hidden)."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return linear(x, self.weight, self.bias), x


class Output(NamedTuple):
    loss: Tensor
    logits: Tensor


class GivesNamedTuple(Linear):
    """(loss, logits): not the first one."""

    def forward(self, x: Tensor) -> Output:
        return Output(x.sum(), linear(x, self.weight, self.bias))


class GivesDict(Linear):
    """{"hidden", "logits"}: not the first one."""

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        return {"hidden": x, "logits": linear(x, self.weight, self.bias)}


class GivesImage(Linear):
    """[N, 3, 1]: no logits."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias).unsqueeze(2)


class TwoInputs(nn.Module):
    """Token ids int64 [N, L] and a mask float32 [N, L], by name; embedding.weight [8, 3]."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(8, 3)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, scale: float = 1.0) -> Tensor:
        return (self.embedding(input_ids) * attention_mask.unsqueeze(2)).sum(1) * scale


class Normalised(nn.Module):
    """BatchNorm with its buffers (running_mean, running_var float32, num_batches_tracked int64)."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_mean.fill_(0.5)
        self.head = Linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x))


class Norms(nn.Module):
    """BatchNorm of every kind. `first` (momentum 0.25), dropout, then `second` (momentum None) see data; `idle` never
    runs, `traced` cannot be told to gather, and `twice` runs two times."""

    def __init__(self, twice: bool):
        super().__init__()
        self.first = nn.BatchNorm1d(4, momentum=0.25)
        self.second = nn.BatchNorm1d(4, momentum=None)
        self.idle = nn.BatchNorm1d(4)
        self.traced = torch.jit.trace(nn.BatchNorm1d(4).eval(), torch.zeros(2, 4))
        self.head = Linear()
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.twice:
            x = self.first(x)
        return self.head(self.traced(self.second(dropout(x, 0.5, self.training))))


class Normalises(nn.Module):
    """x float32 [N, 64]: a layer norm, whose gradient is a sum over the batch, then 3 logits."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x))


class Wide(nn.Module):
    """32 MiB of parameters, all zero."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(2048, 4))
        self.middle = nn.Parameter(torch.zeros(2048, 4096))
        self.last = nn.Parameter(torch.zeros(3, 4096))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(linear(x, self.first))
        return linear(torch.tanh(hidden @ self.middle), self.last)


class Drops(Linear):
    """Dropout and a counter that forward() changes: only eval() and fresh buffers repeat."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return linear(dropout(x, 0.5, self.training), self.weight, self.bias) + self.calls


class Image(nn.Module):
    """x float32 [N, 3, 2, 2] to the three channel means times weight [3]."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * self.weight


class Digits(nn.Module):
    """x float32 [N, 3, 8, 8] to 10 logits by weight [10, 192], bias [10]."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10, 192))
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x.flatten(1), self.weight, self.bias)


class WritesToInput(Linear):
    """Changes its argument in place."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        return linear(x, self.weight, self.bias)


class Scalar(nn.Module):
    """A regression: x float32 [N, 4] to [N] by weight [4]."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Bigram(nn.Module):
    """A language model: tokens int64 [N, L] to logits [N, L, 3], row t of embedding.weight [3, 3]."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 3)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.embedding(input_ids)


class Text(nn.Module):
    """A layer of self-attention over tokens int64 [N, L] of 16, L at most 64, that a mask int64 [N, L] leaves out, to 3
    logits: the mean over what is not masked."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(16, 8)
        self.positions = nn.Embedding(64, 8)
        self.attention = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.tokens(input_ids) + self.positions.weight[: input_ids.size(1)]
        query, key, value = self.attention(x).chunk(3, dim=2)
        scores = query @ key.transpose(1, 2) / 8.0 ** 0.5
        weights = scores.masked_fill(attention_mask.unsqueeze(1) == 0, float("-inf")).softmax(2)
        x = self.norm(x + weights @ value)
        mask = attention_mask.unsqueeze(2).to(x.dtype)
        return self.head((x * mask).sum(1) / mask.sum(1))


class UnmaskedText(nn.Module):
    """Tokens int64 [N, L] of 16 to 3 logits: the mean of rows of embedding.weight [16, 3], padding and all."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.embedding(input_ids).mean(1)


class Strides(Linear):
    """x float32 [N, C, H, W] to how far apart its channels and its columns lie in memory, in numbers, and a bias."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.bias.repeat(x.size(0), 1)
        logits[:, 0] += x.stride(1)
        logits[:, 1] += x.stride(3)
        return logits


class Tied(nn.Module):
    """One matrix [3, 4] under two names, used twice: embed.weight and head.weight."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 3, bias=False)
        self.head = nn.Linear(4, 3, bias=False)
        nn.init.zeros_(self.embed.weight)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(x) + self.head(x)


if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, model in {
        "linear": Linear(), "throws": Throws(), "throws_above_two": ThrowsAboveTwo(),
        "crash": Crash(), "tuple": GivesTuple(),
        "named_tuple": GivesNamedTuple(), "dict": GivesDict(), "image_output": GivesImage(),
        "two_inputs": TwoInputs(), "batch_norm": Normalised(), "dropout": Drops(),
        "image": Image(), "digits": Digits(), "writes_to_input": WritesToInput(), "slow": Slow(),
        "out_of_memory": OutOfMemory(), "scalar": Scalar(), "bigram": Bigram(),
        "batch_norms": Norms(False), "batch_norm_twice": Norms(True), "layer_norm": Normalises(), "wide": Wide(),
        "tied": Tied(), "text": Text(), "unmasked_text": UnmaskedText(), "strides": Strides(),
    }.items():
        torch.jit.script(model).save(os.path.join(folder, name + ".pt"))
    # Zeros deflate to next to nothing, and LibTorch reads deflated entries.
    wide = os.path.join(folder, "wide.pt")
    with zipfile.ZipFile(wide) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wide, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
