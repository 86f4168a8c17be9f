"""Tables and words of the page."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from ..v1 import job_pb2, report_pb2
from . import _outliers
from ._parts import Markup, Table, details, join, tag
from ._path import paths, reasons_list
from ._reading import Reading, count, name_of, points, seconds


def blends(reading: Reading) -> Table | None:
    """A row for each soup and ensemble, a column for each set; the best of each set is marked."""
    result = reading.result
    if not result.blends:
        return None
    sets = [each.name for each in result.data_sets]
    columns = {name: [reading.value_on(blend.scores, name) for blend in result.blends] for name in sets}
    if reading.shifts:
        columns["mean over shifts"] = [
            blend.mean_of_shifts if blend.HasField("mean_of_shifts") else None for blend in result.blends
        ]
    best = {
        name: max((reading.sign * value for value in values if value is not None), default=None)
        for name, values in columns.items()
    }
    rows = []
    for i, blend in enumerate(result.blends):
        mark = [tag("span", "shipped", class_="badge good")] if blend.kind == result.chosen else []
        row: list[str] = [
            join([name_of(blend.kind), *mark], " "),
            f"{len(blend.ingredients)}",
            f"{blend.models_at_inference or 1}",
        ]
        for name, values in columns.items():
            value = values[i]
            is_best = value is not None and reading.sign * value == best[name]
            row.append(
                tag("strong", reading.show(value), title="the best of this column") if is_best else reading.show(value)
            )
        rows.append(row)
    return Table(
        f"{reading.metric_title} on every data set; the best of each column is bold",
        ["model", "made of", "models at inference", *columns],
        rows,
    )


def tiles(reading: Reading) -> Markup:
    """The few numbers that most want."""
    result, cost = reading.result, reading.report.cost
    found = []
    chosen = next((blend for blend in result.blends if blend.kind == result.chosen), None)
    if chosen is not None:
        found.append(
            (
                name_of(chosen.kind),
                reading.show(reading.value_on(chosen.scores, reading.held_out)),
                f"on {reading.held_out}",
            )
        )
        found.append(("in the soup", f"{len(chosen.ingredients)} of {len(result.ingredients)}", "ingredients"))
    for gain in result.gains:
        if gain.role in ("held_out", "final"):
            what = "held-out gain" if gain.role == "held_out" else "final gain"
            interval = (
                f"{points(gain.lower)} to {points(gain.upper)} in top-1" if gain.level > 0 else f"on {gain.data_set}"
            )
            found.append((what, reading.show_difference(gain.difference), interval))
    if cost.evaluations_run or cost.evaluations_reused:
        found.append(("evaluations", f"{cost.evaluations_run:,}", f"run, {cost.evaluations_reused:,} known before"))
    items = [
        tag("div", tag("dt", name), tag("dd", tag("b", value), " ", tag("span", note))) for name, value, note in found
    ]
    return tag("dl", *items, class_="tiles") if items else Markup("")


def candidates(reading: Reading) -> Iterator[Markup]:
    """Why each was kept or dropped; of recipes that try none, what they did."""
    for path in paths(reading):
        title = f"{name_of(path.kind.partition('+')[0])}: {path.accepted} of {len(path.steps)} candidates kept"
        shipped = path.kind == reading.result.chosen
        yield join([tag("h3", title), reasons_list(path)]) if shipped else details(title, reasons_list(path))
    for kind, found, _ in reading.recipes():
        orders = found.random_orders
        if orders.results:
            yield tag(
                "p",
                f"{name_of(kind)}: the best of {count(len(orders.results), 'random order')}; on the held-out set their"
                f" soups score {reading.show(orders.mean)} in the mean (standard deviation"
                f" {reading.show_spread(orders.standard_deviation)}), from {reading.show(orders.minimum)} to"
                f" {reading.show(orders.maximum)}.",
            )
    if reading.result.stopped_because:
        yield tag(
            "p",
            f"The recipe ended early: {reading.result.stopped_because}. What it had not tried by then, it did not"
            " judge.",
        )


def every_ingredient(reading: Reading) -> list[Markup]:
    return [_alike_and_apart(reading), _ingredients(reading)] if reading.result.ingredients else []


def _ingredients(reading: Reading) -> Markup:
    result = reading.result
    sets = [
        each.name
        for each in result.data_sets
        if any(reading.score_on(one.scores, each.name) for one in result.ingredients)
    ]
    rows = []
    for each in result.ingredients:
        state = "left out" if each.skipped_because else f"{each.coefficient:.4g}" if each.in_soup else "–"
        notes = [
            *each.notes,
            *([f"the same weights as {each.identical_to}"] if each.identical_to else []),
            each.skipped_because,
        ]
        scores = [reading.show(reading.value_on(each.scores, name)) for name in sets]
        rows.append([each.display_name, state, *scores, "; ".join(note for note in notes if note)])
    last = 2 + len(sets)
    return Table(
        f"{reading.metric_title} of every ingredient, and its coefficient in the soup",
        ["ingredient", "coefficient", *sets, "notes"],
        rows,
        frozenset({last}),
    ).markup()


def _alike_and_apart(reading: Reading) -> Markup:
    """Duplicates and outliers, and by which rule."""
    same, apart = _outliers.duplicates(reading), _outliers.outliers(reading)
    left_out = [
        f"{each.display_name}: {each.skipped_because}" for each in reading.result.ingredients if each.skipped_because
    ]
    rule = (
        "An outlier is an ingredient whose held-out score lies below, or whose move from the base lies on either side"
        f" of, the median by a modified z-score of more than {_outliers.LIMIT} (median absolute deviation; Iglewicz and"
        " Hoaglin, 1993)."
    )

    def listed(title: str, sentences: list[str], none: str) -> list[Markup]:
        body = tag("ul", *(tag("li", each) for each in sentences)) if sentences else tag("p", none)
        return [tag("h3", title), body]

    parts = listed("Duplicates", same, "No two ingredients hold the same weights.")
    few = f"Of fewer than {_outliers.FEWEST} ingredients nobody can say which stands apart."
    enough = sum(not each.identical_to for each in reading.result.ingredients) >= _outliers.FEWEST
    parts += listed("Outliers", apart, "None stands far apart." if enough else few)
    parts.append(tag("p", rule, class_="note"))
    return join([*parts, *(listed("Left out", left_out, "") if left_out else [])])


def calibration(reading: Reading) -> list[Markup]:
    """Of blends in the open; of single ingredients, folded."""
    kinds = {blend.kind for blend in reading.result.blends}
    headings = ["model", "data set", "temperature", "ECE", "ECE, scaled", "cross-entropy", "cross-entropy, scaled"]

    def table(title: str, found: list[report_pb2.CalibrationResult]) -> Markup:
        rows = [
            [name_of(each.name) if each.name in kinds else each.name, entry.data_set, f"{each.temperature:.3f}"]
            + [f"{100 * ece:.2f} %" for ece in (entry.ece_equal_mass, entry.ece_equal_mass_scaled)]
            + [f"{loss:.4f}" for loss in (entry.cross_entropy, entry.cross_entropy_scaled)]
            for each in found
            for entry in each.entries
        ]
        return Table(title, headings, rows, frozenset({1})).markup()

    blends = [each for each in reading.result.calibrations if each.name in kinds]
    singles = [each for each in reading.result.calibrations if each.name not in kinds]
    title = (
        "Expected calibration error (15 bins of equally many examples) and cross-entropy, as they are and with the"
        " temperature fitted on the held-out set"
    )
    return [table(title, blends)] * bool(blends) + [details("Of every ingredient", table(title, singles))] * bool(
        singles
    )


def more(reading: Reading) -> Iterator[Table]:
    """Small tables of what few jobs have."""
    result = reading.result
    if result.oracles:
        rows = [[each.data_set, each.ingredient, reading.report.show(each.score)] for each in result.oracles]
        yield Table(
            "The best ingredient of each set, chosen on that very set: no rule that chooses on the held-out set can"
            " know it",
            ["data set", "ingredient", reading.metric_title],
            rows,
            frozenset({1}),
        )
    for caption, before, after, names in [
        (
            "BatchNorm statistics",
            result.batch_norm.averaged,
            result.batch_norm.reestimated,
            ["averaged", "gathered anew"],
        ),
        (
            f"Precision {result.precision.precision}",
            result.precision.scores,
            result.precision.float32_scores,
            [result.precision.precision, "FLOAT32"],
        ),
    ]:
        if before:
            show = reading.report.show
            rows = [
                [one.data_set, show(one.score), reading.show(reading.value_on(after, one.data_set))] for one in before
            ]
            yield Table(f"{caption}: the shipped soup's {reading.metric_title}", ["data set", *names], rows)


def cost(reading: Reading) -> Markup:
    found = reading.report.cost
    rows = [
        ("Passes over a data set", f"{found.evaluations_run:,} run, {found.evaluations_reused:,} known before"),
        ("Examples", f"{found.examples_evaluated:,} evaluated, {found.examples_reused:,} known before"),
        ("Stopped early", f"{found.evaluations_stopped_early:,} of them, {found.examples_spared:,} examples spared"),
        (
            "Workers' time",
            f"{seconds(found.worker_seconds)}; what was known before had taken {seconds(found.worker_seconds_reused)}",
        ),
        ("From creation to the end", seconds(found.wall_seconds)),
        ("Attempts that were lost", f"{found.failed_attempts:,}"),
    ]
    return _definitions(rows)


def provenance(reading: Reading) -> Iterator[Markup]:
    result, job = reading.result, reading.job
    rows: list[tuple[str, str | Markup]] = []
    if job is not None:
        rows += [("Job", job.name), ("State", job_pb2.Job.State.Name(job.state)), ("Client", job.client)]
        times = (("Created", "create_time"), ("Started", "start_time"), ("Ended", "end_time"))
        rows += [(name, _time(getattr(job, field))) for name, field in times if job.HasField(field)]
        rows += [("Labels", ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items())))]
        rows += [("Architecture", job.spec.model.architecture_uri), ("Base", job.spec.model.base_uri)]
    rows += [("Recipe", ", ".join([result.recipe, *result.recipe_choices])), ("Metric", reading.metric_title)]
    rows += [("Numerics", result.numerics), ("Soup, SHA-256 of its tensors", _code(result.soup_digest))]
    rows += [
        ("Architecture, SHA-256", _code(result.architecture_digest)),
        ("Base, SHA-256 of its tensors", _code(result.base_digest)),
    ]
    yield _definitions(rows)
    sets = [
        [each.name, each.role.replace("_", " "), f"{each.example_count:,}", f"{each.class_count:,}", _code(each.digest)]
        for each in result.data_sets
    ]
    yield Table("Data sets", ["name", "role", "examples", "classes", "digest"], sets, frozenset({1, 4})).markup()
    files = [
        [each.display_name, each.format, each.pinned_uri or each.uri, _code(each.digest)] for each in result.ingredients
    ]
    table = Table(
        "Ingredients, with the SHA-256 of their tensors",
        ["ingredient", "format", "read from", "digest"],
        files,
        frozenset({1, 2, 3}),
    )
    yield details("Ingredients and their digests", table.markup())
    if job is not None and job.artifacts:
        artifacts = [[each.file, f"{each.size_bytes:,}", _code(each.sha256)] for each in job.artifacts]
        yield details(
            "Files of the job", Table("Files", ["file", "bytes", "SHA-256"], artifacts, frozenset({2})).markup()
        )


def _code(digest: str) -> Markup:
    return tag("code", digest) if digest else Markup("")


def _time(stamp: Timestamp) -> str:
    return stamp.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC")


def _definitions(rows: list[tuple[str, str]] | list[tuple[str, str | Markup]]) -> Markup:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value), class_="facts")


def problems(reading: Reading) -> Markup:
    """Of a job that did not succeed: what happened, since its report is a part."""
    job = reading.job
    if job is None or job.state == job_pb2.Job.SUCCEEDED:
        return Markup("")
    state = job_pb2.Job.State.Name(job.state)
    message = f": {job.error.message}" if job.state == job_pb2.Job.FAILED else ""
    return tag(
        "p",
        tag("strong", state),
        f"{message}. The report has what was measured so far.",
        class_="problem",
        role="alert",
    )
