"""What Stockpot reports, computed once more with PyTorch, SciPy and scikit-learn, and nothing of Stockpot's.

Logits are those of the eager module in float32, all examples in one batch; what is made of them is float64.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy
import scipy.optimize
import scipy.stats
import sklearn.metrics
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

Weights = dict[str, Tensor]

# ---- models


def outputs(module: nn.Module, weights: Weights, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return functional_call(module.eval(), weights, inputs)


def uniform(models: list[Weights]) -> Weights:
    """A running sum in float32 in the models' order, scaled once by 1/k; integers are the first model's."""
    scale = torch.tensor(1 / len(models), dtype=torch.float32)
    return combine(models, lambda _, tensors: sum(tensors[1:], start=tensors[0]) * scale)


def mix(models: list[Weights], coefficients: list[float] | dict[str, list[float]]) -> Weights:
    """A running sum of c·w in float32, each coefficient rounded to it; by tensor where coefficients are."""

    def sum_up(name: str, tensors: list[Tensor]) -> Tensor:
        of_tensor = coefficients[name] if isinstance(coefficients, dict) else coefficients
        products = [tensor * torch.tensor(c, dtype=torch.float32) for c, tensor in zip(of_tensor, tensors, strict=True)]
        return sum(products[1:], start=products[0])

    return combine(models, sum_up)


def combine(models: list[Weights], rule: Callable[[str, list[Tensor]], Tensor]) -> Weights:
    first = models[0]
    if len(models) == 1:
        return first
    return {
        name: rule(name, [model[name] for model in models]) if first[name].is_floating_point() else first[name]
        for name in first
    }


def with_batch_norm_of(module: nn.Module, weights: Weights, batches: Iterable[Tensor]) -> Weights:
    """The weights with statistics that torch.optim.swa_utils.update_bn gathered."""
    module.load_state_dict(weights)
    update_bn(batches, module)
    gathered = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    module.eval()
    return gathered


# ---- scores


def classification(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The scores of a data set, under the names of the report."""
    truth, guess = labels.numpy(), logits.argmax(1).numpy()
    exact = logits.double()
    return {
        "example_count": len(truth),
        "top1_correct": sklearn.metrics.accuracy_score(truth, guess, normalize=False),
        "top5_correct": int((logits.topk(min(5, logits.size(1)), dim=1).indices == labels[:, None]).sum()),
        "cross_entropy_sum": F.cross_entropy(exact, labels, reduction="sum").item(),
        "mean_per_class": sklearn.metrics.balanced_accuracy_score(truth, guess),
        "f1_macro": sklearn.metrics.f1_score(truth, guess, average="macro"),
        "matthews": sklearn.metrics.matthews_corrcoef(truth, guess),
        # The report says 0 where there are not two classes.
        "f1_binary": sklearn.metrics.f1_score(truth, guess) if logits.size(1) == 2 else 0.0,
        "ece": ece_equal_mass(exact, labels),
    }


def regression(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    values, truth = predictions.squeeze(1).double().numpy(), targets.double().numpy()
    return {
        "example_count": len(truth),
        "mean_squared_error": sklearn.metrics.mean_squared_error(truth, values),
        "pearson": scipy.stats.pearsonr(values, truth).statistic,
        "spearman": scipy.stats.spearmanr(values, truth).statistic,
    }


def language(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Over the tokens that count."""
    rows, tokens = logits.double()[labels != -100], labels[labels != -100]
    return {
        "example_count": len(tokens),
        "top1_correct": int((rows.argmax(1) == tokens).sum()),
        "top5_correct": int((rows.topk(5, dim=1).indices == tokens[:, None]).sum()),
        "cross_entropy_sum": F.cross_entropy(rows, tokens, reduction="sum").item(),
        "perplexity": F.cross_entropy(rows, tokens).exp().item(),
    }


def near_ties(logits: Tensor, labels: Tensor, distance: float = 1e-4) -> int:
    """Examples whose rank of the label among the first five could change with rounding of the logits."""
    rows, truth = logits.reshape(-1, logits.size(-1)), labels.reshape(-1)
    rows, truth = rows[truth >= 0], truth[truth >= 0]
    of_label = rows.gather(1, truth[:, None])
    near = (rows - of_label).abs() < distance
    return int((near.sum(1) > 1).sum())


# ---- calibration


def confidence_and_rightness(logits: Tensor, labels: Tensor) -> tuple[NDArray, NDArray]:
    return logits.softmax(1).max(1).values.numpy(), (logits.argmax(1) == labels).numpy()


def ece_equal_mass(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    confidence, right = confidence_and_rightness(logits.double(), labels)
    groups = numpy.array_split(numpy.argsort(confidence, kind="stable"), bins)
    return sum(abs(right[group].mean() - confidence[group].mean()) * len(group) for group in groups) / len(right)


def ece_equal_width(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    confidence, right = confidence_and_rightness(logits.double(), labels)
    bin_of = numpy.digitize(confidence, numpy.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = scipy.stats.binned_statistic(bin_of, right - confidence, "sum", numpy.arange(bins + 1) - 0.5).statistic
    return numpy.abs(gaps).sum() / len(right)


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """By which the logits are divided for the least cross-entropy: a bounded search over its logarithm."""
    exact = logits.double()

    def loss(logarithm: float) -> float:
        return F.cross_entropy(exact / numpy.exp(logarithm), labels).item()

    found = scipy.optimize.minimize_scalar(loss, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9})
    return float(numpy.exp(found.x))


# ---- gains


def mcnemar(only_first: int, only_second: int) -> float:
    return scipy.stats.binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0


def bootstrap(differences: NDArray, level: float, seed: int, samples: int = 20_000) -> tuple[float, float]:
    """The percentile interval of the mean of paired differences, by resampling examples."""
    found = scipy.stats.bootstrap(
        (differences,),
        numpy.mean,
        confidence_level=level,
        n_resamples=samples,
        batch=500,
        method="percentile",
        rng=seed,
    )
    return found.confidence_interval


# ---- recipes


@dataclass(frozen=True)
class Step:
    candidate: str
    accepted: bool
    score: float


def greedy(
    order: list[str],
    score: Callable[[tuple[str, ...]], float],
    *,
    or_equal: bool = False,
    groups: dict[str, str] | None = None,
) -> tuple[list[str], list[Step]]:
    """Recipe 1 of the paper, with higher scores better: what is in the soup, and what was tried."""
    groups = groups or {}
    soup, best = [order[0]], score((order[0],))
    steps = [Step(order[0], True, best)]
    for candidate in order[1:]:
        if candidate in groups and groups[candidate] in [groups.get(member) for member in soup]:
            continue
        found = score((*soup, candidate))
        accepted = found >= best if or_equal else found > best
        steps.append(Step(candidate, accepted, found))
        if accepted:
            soup, best = [*soup, candidate], found
    return soup, steps


# ---- the learned soup


def mersenne_twister_64(seed: int) -> Iterable[int]:
    """mt19937-64 of Nishimura and Matsumoto (2000), with the parameters that C++ names."""
    mask, size, middle = (1 << 64) - 1, 312, 156
    state = [seed & mask]
    for i in range(1, size):
        state.append((6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i) & mask)
    for i in itertools.cycle(range(size)):
        joined = (state[i] & 0xFFFFFFFF80000000) | (state[(i + 1) % size] & 0x7FFFFFFF)
        state[i] = state[(i + middle) % size] ^ (joined >> 1) ^ (0xB5026F5AA96619E9 if joined & 1 else 0)
        word = state[i]
        word ^= (word >> 29) & 0x5555555555555555
        word ^= (word << 17) & 0x71D67FFFEDA60000
        word ^= (word << 37) & 0xFFF7EEE000000000
        yield word ^ (word >> 43)


def example_order(count: int, seed: int, epoch: int) -> list[int]:
    """As server/worker/soup/example_order.h says it, for other programs to follow."""
    random = iter(mersenne_twister_64((seed + 0x9E3779B97F4A7C15 * epoch) % 2**64))
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = next(random) % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


@dataclass(frozen=True)
class Learned:
    coefficients: dict[str, NDArray]  # by tensor: one for each model
    temperature: float
    epoch_losses: list[float]


@dataclass(frozen=True)
class Learning:
    """The options of a learned soup (the paper's appendix I)."""

    constraint: str = "SOFTMAX"
    per_tensor: bool = False
    epochs: int = 3
    batch_size: int = 100
    rate: float = 0.05
    weight_decay: float = 0.0
    seed: int = 0
    fixed_temperature: bool = False


def learn(
    module: nn.Module,
    models: list[Weights],
    inputs: tuple[Tensor, ...],
    labels: Tensor,
    options: Learning,
    dtype: torch.dtype = torch.float32,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Learned:
    """Mixing coefficients and temperature by torch.optim.AdamW and autograd through functional_call; `dtype` is the
    weights' and the model's, while coefficients and losses are float64."""
    module = module.eval()
    models = [{name: w.to(dtype) if w.is_floating_point() else w for name, w in model.items()} for model in models]
    inputs = tuple(value.to(dtype) if value.is_floating_point() else value for value in inputs)
    parameters = [name for name, _ in module.named_parameters()]
    columns = {name: column if options.per_tensor else 0 for column, name in enumerate(parameters)}
    start = 1 / len(models) if options.constraint == "FREE" else 0.0
    raw = torch.full((len(models), max(columns.values()) + 1), start, dtype=torch.float64, requires_grad=True)
    beta = torch.ones((), dtype=torch.float64, requires_grad=not options.fixed_temperature)
    groups = [{"params": [raw], "weight_decay": options.weight_decay}]
    if not options.fixed_temperature:
        groups.append({"params": [beta], "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=options.rate)

    def coefficients() -> dict[str, Tensor]:
        """A global coefficient holds for buffers too; by tensor, nothing moves theirs."""
        alpha = constrain(raw, options.constraint)
        of_buffers = torch.full((len(models),), 1 / len(models)) if options.per_tensor else alpha[:, 0].detach()
        floating = [name for name, tensor in models[0].items() if tensor.is_floating_point()]
        return {name: alpha[:, columns[name]] if name in columns else of_buffers for name in floating}

    losses = []
    for epoch in range(options.epochs):
        order = torch.tensor(example_order(len(labels), options.seed, epoch))
        of_steps = []
        for batch in order.split(options.batch_size):
            mixed = dict(models[0])
            for name, alpha in coefficients().items():
                mixed[name] = sum(a.to(dtype) * model[name] for a, model in zip(alpha, models, strict=True))
            value = loss(functional_call(module, mixed, tuple(x[batch] for x in inputs)).double() * beta, labels[batch])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            of_steps.append(value.item())
        losses.append(sum(of_steps) / len(of_steps))
    found = {name: alpha.detach().numpy() for name, alpha in coefficients().items()}
    return Learned(found, 1 / beta.item(), losses)


def constrain(raw: Tensor, constraint: str) -> Tensor:
    match constraint:
        case "SOFTMAX":
            return raw.softmax(0)
        case "SUM_TO_ONE":
            return raw - raw.mean(0) + 1 / raw.size(0)
        case _:
            return raw


# ---- the paper's equation 2


def flat_move(model: Weights, base: Weights) -> Tensor:
    """All floating-point tensors of model minus base, in float64, end to end."""
    return torch.cat(
        [(model[name].double() - base[name].double()).flatten() for name in base if base[name].is_floating_point()]
    )


def expected_variance(soup: Tensor, first: Tensor, second: Tensor, beta: float) -> float:
    """E_x Var_{Y ~ softmax(beta·soup)}[second_Y - first_Y]."""
    probabilities = (soup.double() * beta).softmax(1)
    change = second.double() - first.double()
    mean = (probabilities * change).sum(1, keepdim=True)
    return (probabilities * (change - mean) ** 2).sum(1).mean().item()


def second_derivative(
    module: nn.Module,
    first: Weights,
    second: Weights,
    inputs: tuple[Tensor, ...],
    labels: Tensor,
    a: float,
    beta: float,
) -> float:
    """d²/da² of the cross-entropy of beta·f(x; (1 - a)·first + a·second): all in float64, so that a step small enough
    to leave six digits is not lost in rounding. PyTorch does not differentiate BatchNorm by its statistics."""
    inputs = tuple(value.double() if value.is_floating_point() else value for value in inputs)
    floating = [name for name, tensor in first.items() if tensor.is_floating_point()]
    step = 1e-3

    def loss(at: float) -> float:
        mixed = {name: (1 - at) * first[name].double() + at * second[name].double() for name in floating}
        return F.cross_entropy(outputs(module, {**first, **mixed}, inputs) * beta, labels).item()

    return (loss(a - step) - 2 * loss(a) + loss(a + step)) / step**2
