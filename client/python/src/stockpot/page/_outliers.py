"""Ingredients that stand apart from the others, and those that are the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from ._reading import Reading

# Iglewicz and Hoaglin (1993): a modified z-score, 0.6745·(x − median) / MAD, beyond 3.5.
LIMIT = 3.5
FEWEST = 5  # of fewer, nobody can say


def modified_z_scores(values: Mapping[str, float]) -> dict[str, float]:
    """Empty where most values are the same, or there are too few."""
    if len(values) < FEWEST:
        return {}
    median = statistics.median(values.values())
    spread = statistics.median(abs(value - median) for value in values.values())
    return {name: 0.6745 * (value - median) / spread for name, value in values.items()} if spread > 0 else {}


def duplicates(reading: Reading) -> list[str]:
    return [
        f"{each.display_name} holds the same weights as {each.identical_to}."
        for each in reading.result.ingredients
        if each.identical_to
    ]


def outliers(reading: Reading) -> list[str]:
    """Sentences. A copy counts once."""
    originals = [each for each in reading.result.ingredients if not each.identical_to]
    scores = {each.display_name: reading.value_on(each.scores, reading.held_out) for each in originals}
    known = {name: value for name, value in scores.items() if value is not None}
    sentences = [
        (
            f"{name} scores {reading.show(known[name])} on {reading.held_out}, far below the median of"
            f" {reading.show(statistics.median(known.values()))}."
            if not reading.lower_is_better
            else (
                f"{name} has {reading.show(known[name])} on {reading.held_out}, far above the median of"
                f" {reading.show(statistics.median(known.values()))}."
            )
        )
        for name, z in modified_z_scores(known).items()
        if reading.sign * z < -LIMIT
    ]
    names = {each.display_name for each in originals}
    found = reading.result.angles
    norms = {name: norm for name, norm in zip(found.ingredients, found.norms) if name in names}
    sentences += [
        f"{name} moved {norms[name]:.4g} from the base, where the median is {statistics.median(norms.values()):.4g}."
        for name, z in modified_z_scores(norms).items()
        if abs(z) > LIMIT
    ]
    return sentences
