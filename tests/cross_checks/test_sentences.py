"""Sentiment of sentences: two named integer inputs, and checkpoints of torch.save below a key and with a prefix."""

import functools

import fixtures
import plain
from fixtures import CrossCheck, data_set_scores, sentences
from service import Job

METRICS = {
    "F1_BINARY": lambda scores: scores["f1_binary"],
    "MATTHEWS": lambda scores: scores["matthews"],
    "MEAN_OF_ACCURACY_AND_F1": lambda scores: (
        (scores["top1_correct"] / scores["example_count"] + scores["f1_binary"]) / 2
    ),
    "CROSS_ENTROPY": lambda scores: -scores["cross_entropy_sum"],
}


@functools.cache
def job(metric: str) -> Job:
    roles = {"test": "FINAL", "tweets": "DISTRIBUTION_SHIFT", "newspaper": "DISTRIBUTION_SHIFT"}
    sets = [sentences().report_set(name, role) for name, role in roles.items()]
    spec = sentences().spec(metric=metric, report_sets=sets)
    return fixtures.service().run({**spec, "recipe": {"greedy": {}}, "comparisons": [{"logit_ensemble": {}}]})


def scores(names: tuple[str, ...], data_set: str = "held_out") -> dict[str, float]:
    return plain.classification(fixtures.soup_outputs(sentences(), names, data_set), sentences().sets[data_set].labels)


class Sentences(CrossCheck):
    def test_how_the_checkpoints_were_read(self):
        for ingredient in job("MATTHEWS").result["ingredients"]:
            notes = ["taken from key 'state_dict'", "ignored: 'epoch' (an int)", "prefix 'module.' removed"]
            self.assertEqual(ingredient["notes"], notes)

    def test_scores_on_each_data_set(self):
        self.assert_blends(job("MATTHEWS"), sentences(), ["best_single", "uniform", "greedy"])

    def test_of_the_ensemble(self):
        blend = job("MATTHEWS").blend("logit_ensemble")
        for data_set, score in data_set_scores(blend["scores"]).items():
            logits = fixtures.ensemble(sentences(), blend["ingredients"], data_set)
            self.assert_score(score, logits, sentences().sets[data_set])

    def test_greedy_by_each_metric(self):
        for metric, value in METRICS.items():
            with self.subTest(metric=metric):

                def score(names: tuple[str, ...]) -> float:
                    return value(scores(names))

                order = sorted(sentences().ingredients, key=lambda name: -score((name,)))
                soup, steps = plain.greedy(order, score)
                result = job(metric).result
                self.assertEqual(result["order"], order)
                self.assertEqual([step["accepted"] for step in result["steps"]], [step.accepted for step in steps])
                self.assertEqual(job(metric).blend("greedy")["ingredients"], soup)

    def test_mean_over_the_shifts(self):
        for metric, value in METRICS.items():
            for kind in ["best_single", "uniform"]:
                with self.subTest(metric=metric, kind=kind):
                    blend = job(metric).blend(kind)
                    of_shifts = [scores(tuple(blend["ingredients"]), data_set) for data_set in ["tweets", "newspaper"]]
                    if metric == "CROSS_ENTROPY":
                        values = [s["cross_entropy_sum"] / s["example_count"] for s in of_shifts]
                    else:
                        values = [value(s) for s in of_shifts]
                    self.assert_close(blend["mean_of_shifts"], sum(values) / 2, fixtures.LOSS_TOLERANCE)
