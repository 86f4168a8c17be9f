"""Every recipe on the digits, all compared in one job: what was chosen, and how it scores on every data set."""

import functools

import numpy
import torch
from safetensors.torch import load_file

import fixtures
import plain
from fixtures import CrossCheck, data_set_scores, digits
from service import Job

WISE_FT = [0.0, 0.25, 0.5, 0.75, 1.0]


@functools.cache
def job() -> Job:
    spec = digits().spec(**fixtures.digits_evaluation(report_every_ingredient=True))
    spec["recipe"] = {"greedy": {}}
    spec["comparisons"] = [
        {"greedy": {"acceptance": "NOT_WORSE", "order": "AS_GIVEN"}},
        {"greedy": {"order": "RANDOM", "seed": 7, "repeats": 4}},
        {"greedy": {"ensemble_ranking": "ORDER_CANDIDATES"}},
        {"greedy": {"ensemble_ranking": "FILTER_CANDIDATES", "acceptance": "NOT_WORSE"}},
        {"logit_ensemble": {}},
        {"greedy_logit_ensemble": {}},
        {"uniform": {}, "wise_ft": {"coefficients": WISE_FT, "select": True}},
    ]
    return fixtures.service().run(spec)


def count_right(logits: torch.Tensor, data_set: str = "held_out") -> int:
    return plain.classification(logits, digits().sets[data_set].labels)["top1_correct"]


@functools.cache
def right(names: tuple[str, ...]) -> int:
    """Held-out examples that the uniform soup of these has right."""
    return count_right(fixtures.soup_outputs(digits(), names))


@functools.cache
def right_together(names: tuple[str, ...]) -> int:
    """The same of their logit ensemble."""
    return count_right(fixtures.ensemble(digits(), list(names)))


def best_first() -> list[str]:
    return sorted(digits().ingredients, key=lambda name: -right((name,)))


class Ingredients(CrossCheck):
    def test_scores_of_each_on_each_data_set(self):
        for ingredient in job().result["ingredients"]:
            for data_set, score in data_set_scores(ingredient["scores"]).items():
                with self.subTest(ingredient=ingredient["display_name"], data_set=data_set):
                    logits = fixtures.soup_outputs(digits(), (ingredient["display_name"],), data_set)
                    self.assert_score(score, logits, digits().sets[data_set])

    def test_order_and_oracles(self):
        self.assertEqual(job().result["order"], best_first())
        for oracle in job().result["oracles"]:
            data_set, names = oracle["data_set"], list(digits().ingredients)
            scores = [count_right(fixtures.soup_outputs(digits(), (name,), data_set), data_set) for name in names]
            self.assertEqual(oracle["ingredient"], names[int(numpy.argmax(scores))])


class Soups(CrossCheck):
    def test_scores_on_each_data_set(self):
        self.assert_blends(
            job(), digits(), ["best_single", "uniform", "greedy", "greedy_2", "greedy_3", "greedy_4", "greedy_5"]
        )

    def test_best_single(self):
        self.assertEqual(job().blend("best_single")["ingredients"], best_first()[:1])

    def test_uniform_holds_all(self):
        self.assertCountEqual(job().blend("uniform")["ingredients"], digits().ingredients)

    def test_the_file_is_the_sum_scaled_once_bit_for_bit(self):
        written = load_file(job().folder / "soup.safetensors")
        expected = plain.uniform(fixtures.models(digits(), job().blend("greedy")["ingredients"]))
        self.assertEqual(written.keys(), expected.keys())
        for name, tensor in expected.items():
            self.assertTrue(torch.equal(written[name], tensor), name)

    def test_mean_of_shifts_is_of_the_shifted_set(self):
        for blend in job().result["blends"]:
            self.assertEqual(blend["mean_of_shifts"], data_set_scores(blend["scores"])["shifted"]["top1"])


class Greedy(CrossCheck):
    def check(self, recipe: dict, order: list[str], **options) -> None:
        self.assert_greedy(recipe, plain.greedy(order, right, **options), "top1_correct")

    def test_best_first(self):
        self.check(job().result, best_first())
        self.assertIn(
            False, [step["accepted"] for step in job().result["steps"]], "the sweep must have what is rejected"
        )

    def test_as_given_and_not_worse(self):
        self.check(job().recipe("greedy_2"), list(digits().ingredients), or_equal=True)

    def test_random_orders(self):
        random = job().recipe("greedy_3")["random_orders"]
        scores = []
        for result in random["results"]:
            self.assertCountEqual(result["order"], digits().ingredients)
            soup, steps = plain.greedy(result["order"], right)
            self.assertEqual(result["ingredients"], soup)
            scores.append(max(step.score for step in steps) / len(digits().sets["held_out"].labels))
            self.assert_close(result["score"]["top1"], scores[-1], fixtures.EXACT)
        self.assertEqual(len({tuple(result["order"]) for result in random["results"]}), 4)
        self.assertEqual(random["taken"], int(numpy.argmax(scores)))
        statistics = {"mean": numpy.mean(scores), "standard_deviation": numpy.std(scores, ddof=1)}
        for name, value in {**statistics, "minimum": min(scores), "maximum": max(scores)}.items():
            self.assert_close(random[name], value, fixtures.EXACT, name)

    def test_candidates_in_the_order_of_the_greedy_ensemble(self):
        together, _ = plain.greedy(best_first(), right_together)
        rest = [name for name in best_first() if name not in together]
        self.check(job().recipe("greedy_4"), together + rest)

    def test_candidates_of_the_greedy_ensemble_alone(self):
        together, _ = plain.greedy(best_first(), right_together, or_equal=True)
        self.check(job().recipe("greedy_5"), together, or_equal=True)

    def test_one_ingredient_of_a_group(self):
        groups = {"smooth": "one", "noise": "one", "long": "one", "plain": "two", "short": "two"}
        spec = digits().spec()
        for ingredient in spec["ingredients"]:
            ingredient["group"] = groups.get(ingredient["display_name"], "")
        found = fixtures.service().run({**spec, "recipe": {"greedy": {"acceptance": "NOT_WORSE"}}})
        expected = plain.greedy(best_first(), right, or_equal=True, groups=groups)
        self.assert_greedy(found.result, expected, "top1_correct")
        self.assertEqual(found.blend("greedy")["ingredients"], expected[0])
        self.assertIn(True, [step["passed_over"] for step in found.result["steps"]])


class Ensembles(CrossCheck):
    def check(self, kind: str) -> None:
        blend = job().blend(kind)
        self.assertEqual(int(blend["models_at_inference"]), len(blend["ingredients"]))
        for data_set, score in data_set_scores(blend["scores"]).items():
            logits = fixtures.ensemble(digits(), blend["ingredients"], data_set)
            self.assert_score(score, logits, digits().sets[data_set])

    def test_of_all(self):
        self.assertCountEqual(job().blend("logit_ensemble")["ingredients"], digits().ingredients)
        self.check("logit_ensemble")

    def test_greedy(self):
        expected = plain.greedy(best_first(), right_together)
        self.assert_greedy(job().recipe("greedy_logit_ensemble"), expected, "top1_correct")
        self.assertEqual(job().blend("greedy_logit_ensemble")["ingredients"], expected[0])
        self.check("greedy_logit_ensemble")


class WiseFt(CrossCheck):
    def test_curve_and_choice(self):
        soup = plain.uniform(list(digits().ingredients.values()))
        recipe = job().recipe("uniform+wise_ft")
        points = recipe["wise_ft"]["points"]
        self.assertEqual([point["coefficient"] for point in points], WISE_FT)
        held_out = {}
        for point in points:
            a = point["coefficient"]
            weights = plain.mix([digits().base, soup], [1 - a, a])
            for data_set, score in data_set_scores(point["scores"]).items():
                logits = fixtures.outputs(digits(), weights, data_set)
                self.assert_score(score, logits, digits().sets[data_set])
                if data_set == "held_out":
                    held_out[a] = count_right(logits)
            self.assertEqual(point["mean_of_shifts"], data_set_scores(point["scores"])["shifted"]["top1"])
        best = max(held_out.values())
        # The whole soup before all others, else the first of equals.
        expected = 1.0 if held_out[1.0] == best else next(a for a in WISE_FT if held_out[a] == best)
        self.assertEqual(recipe["wise_ft"]["selected"], expected)


class Gains(CrossCheck):
    def test_counts_test_and_interval(self):
        chosen = fixtures.blended(digits(), job().blend("greedy"))
        best = fixtures.blended(digits(), job().blend("best_single"))
        self.assertEqual(
            [(gain["data_set"], gain["role"]) for gain in job().result["gains"]],
            [("held_out", "held_out"), ("test", "final")],
        )
        for gain in job().result["gains"]:
            with self.subTest(data_set=gain["data_set"]):
                labels = digits().sets[gain["data_set"]].labels
                rights = [fixtures.outputs(digits(), w, gain["data_set"]).argmax(1) == labels for w in (chosen, best)]
                difference = (rights[0].double() - rights[1].double()).numpy()
                counts = int((difference > 0).sum()), int((difference < 0).sum())
                self.assertEqual((int(gain["only_of_correct"]), int(gain["only_over_correct"])), counts)
                self.assert_close(gain["mcnemar_p_value"], plain.mcnemar(*counts), fixtures.EXACT)
                self.assert_close(gain["top1_difference"], difference.mean(), fixtures.EXACT)
                self.assert_close(gain["difference"], difference.mean(), fixtures.EXACT)
                self.check_interval(gain, difference)

    def check_interval(self, gain: dict, difference: numpy.ndarray) -> None:
        """Both intervals are Monte Carlo. The standard error of the 2.5 % quantile of n normal draws is
        sqrt(0.025 · 0.975 / n) / 0.0584 of their deviation: 0.027 of it for 10,000, 0.019 for 20,000. Five of both
        together are allowed, and a step of the lattice that means of so many examples lie on."""
        self.assertEqual(gain["level"], 0.95)
        deviation = difference.std() / len(difference) ** 0.5
        tolerance = 5 * numpy.hypot(0.027, 0.019) * deviation + 1 / len(difference)
        for found, expected in zip(
            (gain["lower"], gain["upper"]), plain.bootstrap(difference, 0.95, seed=1), strict=True
        ):
            self.assert_close(found, expected, tolerance + fixtures.EXACT, "bootstrap")
