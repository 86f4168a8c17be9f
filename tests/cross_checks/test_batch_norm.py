"""BatchNorm statistics gathered anew on training images, against torch.optim.swa_utils.update_bn."""

import functools

import torch
from safetensors.torch import load_file

import fixtures
import plain
from fixtures import CrossCheck, data_set_scores, digits
from service import Job

BATCH = 80  # as Stockpot is told; the 400 training images are five of them


@functools.cache
def job(scope: str) -> Job:
    spec = digits().spec(**fixtures.digits_evaluation())
    spec["compute"] = {"batch_size": BATCH}
    training = {"name": "training", "uri": str(digits().sets["training"].path)}
    batch_norm = {"data_set": training, "scope": scope}
    return fixtures.service().run({**spec, "recipe": {"greedy": {}}, "batch_norm": batch_norm})


@functools.cache
def with_new_statistics(names: tuple[str, ...]) -> plain.Weights:
    """The uniform soup; one model alone keeps its own."""
    soup = plain.uniform(fixtures.models(digits(), list(names)))
    if len(names) == 1:
        return soup
    return plain.with_batch_norm_of(digits().module, soup, digits().sets["training"].inputs[0].split(BATCH))


@functools.cache
def right(names: tuple[str, ...], gather: bool) -> int:
    logits = (
        fixtures.outputs(digits(), with_new_statistics(names)) if gather else fixtures.soup_outputs(digits(), names)
    )
    return plain.classification(logits, digits().sets["held_out"].labels)["top1_correct"]


class BatchNorm(CrossCheck):
    def test_choice_with_and_without(self):
        for scope, gather in {"EVERY_CANDIDATE": True, "FINAL_SOUP": False}.items():
            with self.subTest(scope=scope):
                self.assertEqual(job(scope).result["batch_norm"]["scope"], scope)
                score = functools.partial(right, gather=gather)
                order = sorted(digits().ingredients, key=lambda name: -score((name,)))
                self.assert_greedy(job(scope).result, plain.greedy(order, score), "top1_correct")
                self.assertGreater(len(job(scope).blend("greedy")["ingredients"]), 1)

    def test_scores_before_and_after(self):
        for scope in ["EVERY_CANDIDATE", "FINAL_SOUP"]:
            names = job(scope).blend("greedy")["ingredients"]
            soups = {
                "averaged": plain.uniform(fixtures.models(digits(), names)),
                "reestimated": with_new_statistics(tuple(names)),
            }
            for which, weights in soups.items():
                for data_set, score in data_set_scores(job(scope).result["batch_norm"][which]).items():
                    with self.subTest(scope=scope, which=which, data_set=data_set):
                        self.assert_score(score, fixtures.outputs(digits(), weights, data_set), digits().sets[data_set])

    def test_statistics_in_the_file(self):
        for scope in ["EVERY_CANDIDATE", "FINAL_SOUP"]:
            written = load_file(job(scope).folder / "soup.safetensors")
            names = tuple(job(scope).blend("greedy")["ingredients"])
            for name, tensor in with_new_statistics(names).items():
                with self.subTest(scope=scope, name=name):
                    if "running" in name:  # a mean of means, summed in another order
                        torch.testing.assert_close(written[name], tensor, rtol=1e-5, atol=1e-6)
                    else:
                        self.assertTrue(torch.equal(written[name], tensor))
