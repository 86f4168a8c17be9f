"""A job's specification (stockpot.v1.JobSpec) from Python's own types.

Every argument stands for a field of proto/stockpot/v1/spec.proto, which says what it means and its default. A message may
be given as itself or as a mapping with the proto's field names: `{"greedy": {"acceptance": "NOT_WORSE"}}`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar, cast, runtime_checkable

from google.protobuf import json_format
from google.protobuf.message import Message

from ._paths import absolute, expand, make_absolute
from .errors import InvalidArgument
from .v1 import spec_pb2

M = TypeVar("M", bound=Message)
Json = Mapping[str, Any]
Path = str | os.PathLike[str]


@runtime_checkable
class HasModel(Protocol):
    """An architecture file and how its inputs are bound: what stockpot.export makes."""

    @property
    def model(self) -> spec_pb2.Model: ...
    @property
    def image_transform(self) -> spec_pb2.ImageTransform | None: ...


Architecture = Path | Json | spec_pb2.Model | HasModel
Ingredients = Iterable[Path | Json | spec_pb2.Ingredient] | Mapping[str, Path]
DataSet = Path | Json | spec_pb2.DataSet
DataSets = Mapping[str, DataSet] | Sequence[Json | spec_pb2.DataSet]
Recipe = str | Json | spec_pb2.Recipe

RECIPES = {
    "greedy": spec_pb2.Recipe(greedy={}),
    "uniform": spec_pb2.Recipe(uniform={}),
    "best-single": spec_pb2.Recipe(best_single={}),
    "learned": spec_pb2.Recipe(learned={}),
    "learned-per-tensor": spec_pb2.Recipe(learned={"per_tensor": True}),
    "logit-ensemble": spec_pb2.Recipe(logit_ensemble={}),
    "greedy-logit-ensemble": spec_pb2.Recipe(greedy_logit_ensemble={}),
}


class JobArguments(TypedDict, total=False):
    """The arguments of job_spec, for those who hand them on."""

    architecture: Architecture | None
    inputs: Sequence[Json | spec_pb2.InputBinding] | None
    base: Path | None
    ingredients: Ingredients | None
    held_out: DataSet | None
    report_sets: DataSets | None
    shift_sets: DataSets | None
    final_set: DataSet | None
    image_transform: Json | spec_pb2.ImageTransform | None
    metric: str | None
    problem: str | None
    recipe: Recipe | None
    comparisons: Sequence[Recipe] | None
    analysis: Json | spec_pb2.Analysis | None
    batch_norm: Json | spec_pb2.BatchNorm | None
    output: Json | spec_pb2.Output | None
    compute: Json | spec_pb2.Compute | None
    limits: Json | spec_pb2.JobLimits | None
    on_bad_ingredient: str | None
    report_every_ingredient: bool | None
    full_scores: bool | None


def job_spec(
    spec: spec_pb2.JobSpec | Json | None = None,
    *,
    architecture: Architecture | None = None,
    inputs: Sequence[Json | spec_pb2.InputBinding] | None = None,
    base: Path | None = None,
    ingredients: Ingredients | None = None,
    held_out: DataSet | None = None,
    report_sets: DataSets | None = None,
    shift_sets: DataSets | None = None,
    final_set: DataSet | None = None,
    image_transform: Json | spec_pb2.ImageTransform | None = None,
    metric: str | None = None,
    problem: str | None = None,
    recipe: Recipe | None = None,
    comparisons: Sequence[Recipe] | None = None,
    analysis: Json | spec_pb2.Analysis | None = None,
    batch_norm: Json | spec_pb2.BatchNorm | None = None,
    output: Json | spec_pb2.Output | None = None,
    compute: Json | spec_pb2.Compute | None = None,
    limits: Json | spec_pb2.JobLimits | None = None,
    on_bad_ingredient: str | None = None,
    report_every_ingredient: bool | None = None,
    full_scores: bool | None = None,
) -> spec_pb2.JobSpec:
    """`spec`, or an empty one, with what else is given put over it. Paths here become absolute. Raises InvalidArgument.

    architecture  a TorchScript file, what stockpot.export made of a model, or a Model
    inputs, base  fields of Model
    ingredients   paths with wildcards, Ingredient messages, or {display name: path}
    held_out      a folder CLASS/image, a file, or a DataSet
    report_sets   {name: data set}, or DataSets with names; shift_sets are those of role DISTRIBUTION_SHIFT, and
                  final_set is that of role FINAL
    image_transform  of every data set that has none of its own and does not end with .safetensors or .npz; default: that
                  of an architecture of stockpot.export
    metric, problem, on_bad_ingredient  words in either case: "f1-macro", "LANGUAGE_MODEL", "skip"
    recipe, comparisons  words of RECIPES, or Recipes
    """
    result = spec_pb2.JobSpec()
    result.CopyFrom(message(spec_pb2.JobSpec, spec or {}, "spec"))
    _put_model(result.model, architecture, inputs, base)
    if ingredients is not None:
        del result.ingredients[:]
        result.ingredients.extend(_ingredients(ingredients))
    _put_data_sets(result.evaluation, held_out, report_sets, shift_sets, final_set)
    if image_transform is None and isinstance(architecture, HasModel):
        image_transform = architecture.image_transform
    if image_transform is not None:
        transform = message(spec_pb2.ImageTransform, image_transform, "image_transform")
        _put_transform(result.evaluation, transform)
    if metric is not None:
        result.evaluation.metric = _enumerator(spec_pb2.EvaluationPlan.Metric, metric, "metric")
    if problem is not None:
        result.evaluation.problem = _enumerator(spec_pb2.EvaluationPlan.Problem, problem, "problem")
    if on_bad_ingredient is not None:
        values = spec_pb2.JobSpec.OnBadIngredient
        result.on_bad_ingredient = _enumerator(values, on_bad_ingredient, "on_bad_ingredient")
    if report_every_ingredient is not None:
        result.evaluation.report_every_ingredient = report_every_ingredient
    if full_scores is not None:
        result.evaluation.full_scores = full_scores
    if recipe is not None:
        result.recipe.CopyFrom(_recipe(recipe, "recipe"))
    if comparisons is not None:
        del result.comparisons[:]
        result.comparisons.extend(_recipe(other, "comparisons") for other in comparisons)
    parts: dict[str, tuple[type[Message], Any]] = {
        "analysis": (spec_pb2.Analysis, analysis),
        "batch_norm": (spec_pb2.BatchNorm, batch_norm),
        "output": (spec_pb2.Output, output),
        "compute": (spec_pb2.Compute, compute),
        "limits": (spec_pb2.JobLimits, limits),
    }
    for field, (kind, value) in parts.items():
        if value is not None:
            getattr(result, field).CopyFrom(message(kind, value, field))
    make_absolute(result)
    return result


def message(kind: type[M], value: Message | Json, field: str) -> M:
    """A message as itself or from its JSON mapping. Raises InvalidArgument that names the field."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{field}: expected {kind.__name__} or a mapping; got {type(value).__name__}")
    try:
        return json_format.ParseDict(dict(value), kind())
    except json_format.ParseError as error:
        raise InvalidArgument(f"{field}: {error}") from error


def data_set(
    value: DataSet, field: str = "data_set", name: str = "", role: spec_pb2.DataSet.Role | None = None
) -> spec_pb2.DataSet:
    """A DataSet from a path, a mapping or a message, its path made absolute. Raises InvalidArgument."""
    result = spec_pb2.DataSet()
    if isinstance(value, (str, os.PathLike)):
        result.uri = os.fspath(value)
    else:
        result.CopyFrom(message(spec_pb2.DataSet, value, field))
    make_absolute(result)
    if name:
        result.name = name
    if role is not None:
        result.role = role
    return result


def _put_model(
    model: spec_pb2.Model,
    architecture: Architecture | None,
    inputs: Sequence[Json | spec_pb2.InputBinding] | None,
    base: Path | None,
) -> None:
    if isinstance(architecture, (str, os.PathLike)):
        model.architecture_uri = os.fspath(architecture)
    elif architecture is not None:
        given = architecture.model if isinstance(architecture, HasModel) else architecture
        model.MergeFrom(message(spec_pb2.Model, given, "architecture"))
    if inputs is not None:
        del model.inputs[:]
        model.inputs.extend(message(spec_pb2.InputBinding, binding, "inputs") for binding in inputs)
    if base is not None:
        model.base_uri = os.fspath(base)


def _ingredients(given: Ingredients) -> list[spec_pb2.Ingredient]:
    if isinstance(given, (str, os.PathLike)):
        given = [given]
    if isinstance(given, Mapping):
        named = cast(Mapping[str, Path], given)
        return [spec_pb2.Ingredient(uri=absolute(path), display_name=name) for name, path in named.items()]
    result = []
    for item in given:
        if isinstance(item, (str, os.PathLike)):
            result += [spec_pb2.Ingredient(uri=uri) for uri in expand([item])]
        else:
            ingredient = spec_pb2.Ingredient()
            ingredient.CopyFrom(message(spec_pb2.Ingredient, item, "ingredients"))
            result.append(ingredient)
    return result


def _put_data_sets(
    plan: spec_pb2.EvaluationPlan,
    held_out: DataSet | None,
    report_sets: DataSets | None,
    shift_sets: DataSets | None,
    final_set: DataSet | None,
) -> None:
    if held_out is not None:
        plan.held_out.CopyFrom(data_set(held_out, "held_out"))
    shift = spec_pb2.DataSet.DISTRIBUTION_SHIFT
    given = [("report_sets", report_sets, None), ("shift_sets", shift_sets, shift)]
    if all(value is None for value in (report_sets, shift_sets, final_set)):
        return
    del plan.report_sets[:]
    for field, sets, role in given:
        if isinstance(sets, Mapping):
            plan.report_sets.extend(data_set(value, field, name, role) for name, value in sets.items())
        else:
            plan.report_sets.extend(data_set(value, field, "", role) for value in sets or ())
    if final_set is not None:
        final = data_set(final_set, "final_set", role=spec_pb2.DataSet.FINAL)
        final.name = final.name or "final"
        plan.report_sets.append(final)


def _put_transform(plan: spec_pb2.EvaluationPlan, transform: spec_pb2.ImageTransform) -> None:
    for each in [plan.held_out, *plan.report_sets]:
        if not each.HasField("image_transform") and not each.uri.endswith((".safetensors", ".npz")):
            each.image_transform.CopyFrom(transform)


def _enumerator(values: Any, word: str, field: str) -> Any:
    name = word.upper().replace("-", "_")
    if name not in values.keys():
        known = ", ".join(key for key in values.keys() if not key.endswith("UNSPECIFIED"))
        raise InvalidArgument(f"{field}: expected one of {known}; got {word!r}")
    return values.Value(name)


def _recipe(recipe: Recipe, field: str) -> spec_pb2.Recipe:
    if not isinstance(recipe, str):
        return message(spec_pb2.Recipe, recipe, field)
    known = RECIPES.get(recipe.lower().replace("_", "-"))
    if known is None:
        raise InvalidArgument(f"{field}: expected one of {', '.join(RECIPES)}; got {recipe!r}")
    return known
