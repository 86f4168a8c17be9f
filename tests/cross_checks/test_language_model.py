"""A small language model of tweets: scores over tokens, and a greedy soup by perplexity."""

import functools

import torch
from safetensors.torch import load_file

import fixtures
import plain
from fixtures import CrossCheck, tweets
from service import Job


@functools.cache
def job() -> Job:
    evaluation = {"problem": "LANGUAGE_MODEL", "metric": "PERPLEXITY", "report_sets": [tweets().report_set("test")]}
    return fixtures.service().run(
        {**tweets().spec(**evaluation), "recipe": {"uniform": {}}, "comparisons": [{"greedy": {}}]}
    )


def perplexity(names: tuple[str, ...]) -> float:
    return plain.language(fixtures.soup_outputs(tweets(), names), tweets().sets["held_out"].labels)["perplexity"]


class LanguageModel(CrossCheck):
    def test_scores(self):
        self.assert_blends(job(), tweets(), ["best_single", "uniform", "greedy"])

    def test_the_file_of_three_bit_for_bit(self):
        """1/3 is no float: dividing by three gives other bits than the product that DESIGN.md's section 4 fixes."""
        written = load_file(job().folder / "soup.safetensors")
        models = fixtures.models(tweets(), job().blend("uniform")["ingredients"])
        self.assertEqual(len(models), 3)
        for name, tensor in plain.uniform(models).items():
            self.assertTrue(torch.equal(written[name], tensor), name)

    def test_greedy_by_perplexity(self):
        order = sorted(tweets().ingredients, key=lambda name: perplexity((name,)))
        soup, steps = plain.greedy(order, lambda names: -perplexity(names))
        self.assertEqual(job().result["order"], order)
        found = job().recipe("greedy")["steps"]
        self.assertEqual([step["accepted"] for step in found], [step.accepted for step in steps])
        self.assertEqual(job().blend("greedy")["ingredients"], soup)
