"""Learned soups of the digits: coefficients, temperature and losses of a plain PyTorch optimisation over the same
examples in the same order; and the file, from the coefficients."""

import functools

import numpy
import torch
from safetensors.torch import load_file

import fixtures
import plain
from fixtures import CrossCheck, digits
from plain import Learning
from service import Job

# Of coefficients, after three epochs of five steps. Seen: 2e-6 at most (SUM_TO_ONE by tensor), and 1e-7 from the same
# optimisation in float64. Gradients are float32, and AdamW hands the rounding of a step on: see tests/README.md.
TOLERANCE = 1e-4

RUNS = {
    "learned": Learning("SOFTMAX", weight_decay=0.1, seed=5),
    "learned_2": Learning("FREE", weight_decay=0.1, fixed_temperature=True),
    "learned_3": Learning("SUM_TO_ONE", seed=3),
    "learned_per_tensor": Learning("SOFTMAX", per_tensor=True, seed=1),
    "learned_per_tensor_2": Learning("FREE", per_tensor=True, rate=0.01),
    "learned_per_tensor_3": Learning("SUM_TO_ONE", per_tensor=True, rate=0.01, seed=2),
}


def recipe(options: Learning) -> dict:
    return {
        "learned": {
            "constraint": options.constraint,
            "per_tensor": options.per_tensor,
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "learning_rate": options.rate,
            "weight_decay": options.weight_decay,
            "seed": options.seed,
            "fixed_temperature": options.fixed_temperature,
        }
    }


@functools.cache
def job() -> Job:
    first, *others = (recipe(options) for options in RUNS.values())
    spec = digits().spec(**fixtures.digits_evaluation())
    return fixtures.service().run({**spec, "recipe": first, "comparisons": others})


@functools.cache
def expected(kind: str, dtype: torch.dtype = torch.float32) -> plain.Learned:
    models = fixtures.models(digits(), job().blend(kind)["ingredients"])
    held_out = digits().sets["held_out"]
    return plain.learn(digits().module, models, held_out.inputs, held_out.labels, RUNS[kind], dtype)


def found(kind: str) -> dict:
    return job().result["learned"] if kind == "learned" else job().recipe(kind)["learned"]


def coefficients_by_tensor(kind: str) -> dict[str, list[float]]:
    """One for each ingredient."""
    learned, count = found(kind), len(job().blend(kind)["ingredients"])
    if not RUNS[kind].per_tensor:
        return dict.fromkeys(expected(kind).coefficients, learned["coefficients"])
    table = numpy.array(learned["tensor_coefficients"]).reshape(count, len(learned["tensors"]))
    return {name: table[:, column].tolist() for column, name in enumerate(learned["tensors"])}


class Learned(CrossCheck):
    def test_the_generator_of_example_orders(self):
        """The C++ standard says what the 10,000th number from the default seed is."""
        numbers = iter(plain.mersenne_twister_64(5489))
        for _ in range(9999):
            next(numbers)
        self.assertEqual(next(numbers), 9981545732273789042)

    def test_coefficients_temperature_and_losses(self):
        for kind, options in RUNS.items():
            with self.subTest(kind=kind):
                plainly = expected(kind)
                of_tensors = coefficients_by_tensor(kind)
                for name, values in plainly.coefficients.items():
                    for coefficient, value in zip(of_tensors[name], values, strict=True):
                        self.assert_close(coefficient, value, TOLERANCE, name)
                self.assert_close(found(kind)["temperature"], plainly.temperature, TOLERANCE)
                for loss, value in zip(found(kind)["epoch_losses"], plainly.epoch_losses, strict=True):
                    self.assert_close(loss, value, fixtures.LOSS_TOLERANCE, "loss of an epoch")
                self.assertEqual(options.fixed_temperature, found(kind)["temperature"] == 1)

    def test_they_moved(self):
        for kind in RUNS:
            values = numpy.array(list(expected(kind).coefficients.values()))
            self.assertGreater(numpy.abs(values - 1 / len(digits().ingredients)).max(), 10 * TOLERANCE, kind)

    def test_means_over_tensors(self):
        for kind, options in RUNS.items():
            if options.per_tensor:
                means = numpy.mean(list(coefficients_by_tensor(kind).values()), axis=0)
                for coefficient, mean in zip(found(kind)["coefficients"], means, strict=True):
                    self.assert_close(coefficient, mean, fixtures.EXACT)

    def test_scores_of_the_soups(self):
        for kind in RUNS:
            models = fixtures.models(digits(), job().blend(kind)["ingredients"])
            weights = plain.mix(models, coefficients_by_tensor(kind))
            for data_set, score in fixtures.data_set_scores(job().blend(kind)["scores"]).items():
                with self.subTest(kind=kind, data_set=data_set):
                    self.assert_score(score, fixtures.outputs(digits(), weights, data_set), digits().sets[data_set])

    def test_the_file_is_the_sum_of_products_bit_for_bit(self):
        written = load_file(job().folder / "soup.safetensors")
        models = fixtures.models(digits(), job().blend("learned")["ingredients"])
        for name, tensor in plain.mix(models, coefficients_by_tensor("learned")).items():
            self.assertTrue(torch.equal(written[name], tensor), name)
