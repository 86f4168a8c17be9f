"""A small language model of tweets: scores over tokens, and a greedy soup by perplexity."""

import functools

import fixtures
import plain
from fixtures import CrossCheck, tweets
from service import Job


@functools.cache
def job() -> Job:
    evaluation = {"problem": "LANGUAGE_MODEL", "metric": "PERPLEXITY", "report_sets": [tweets().report_set("test")]}
    return fixtures.service().run({**tweets().spec(**evaluation), "recipe": {"greedy": {}}})


def perplexity(names: tuple[str, ...]) -> float:
    return plain.language(fixtures.soup_outputs(tweets(), names), tweets().sets["held_out"].labels)["perplexity"]


class LanguageModel(CrossCheck):
    def test_scores(self):
        self.assert_blends(job(), tweets(), ["best_single", "uniform", "greedy"])

    def test_greedy_by_perplexity(self):
        order = sorted(tweets().ingredients, key=lambda name: perplexity((name,)))
        soup, steps = plain.greedy(order, lambda names: -perplexity(names))
        self.assertEqual(job().result["order"], order)
        self.assertEqual([step["accepted"] for step in job().result["steps"]], [step.accepted for step in steps])
        self.assertEqual(job().blend("greedy")["ingredients"], soup)
