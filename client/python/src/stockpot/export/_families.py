"""What is known of models of timm, transformers and open_clip: arguments, outputs, how images are made for them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..v1 import spec_pb2
from ._refusals import ExportRefused

Inputs: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


@dataclass
class Contract:
    """How the model is called. `run` calls the model's own code with these arguments and gives one tensor."""

    inputs: dict[str, Tensor]
    run: Callable[..., Tensor]
    plain: bool  # `run` is forward() as it is, so that the model can be scripted
    bindings: list[spec_pb2.InputBinding] = field(default_factory=list)
    image_transform: spec_pb2.ImageTransform | None = None
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)  # of the tracer, when it was traced


def contract_of(model: nn.Module, inputs: Inputs | None, output: str | int | None) -> Contract:
    """Raises ExportRefused when it is not known what goes in."""
    classes = [f"{cls.__module__}.{cls.__name__}" for cls in type(model).__mro__]
    if any(name.startswith("open_clip.") for name in classes):
        return _open_clip(model, inputs)
    if "transformers.modeling_utils.PreTrainedModel" in classes:
        return _transformers(model, inputs, output)
    if hasattr(model, "pretrained_cfg") and hasattr(model, "default_cfg"):
        return _timm(model, inputs, output)
    if inputs is None:
        raise ExportRefused("give inputs: an example of what forward() takes, {argument: tensor of a batch}")
    named = _named(type(model).forward, inputs)
    return Contract(named, _select(type(model).forward, output), output is None, _bind(named))


def _named(forward: Callable[..., Any], inputs: Inputs) -> dict[str, Tensor]:
    """Examples by the names of the arguments. Raises ExportRefused for what forward() has not."""
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    names = [each.name for each in parameters if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    named = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=False))
    unknown = [name for name in named if name not in names]
    if unknown or (not isinstance(inputs, Mapping) and len(inputs) > len(names)):
        raise ExportRefused(f"forward() takes {', '.join(names)}; got {', '.join(named)}")
    return named


def _bind(inputs: Mapping[str, Tensor]) -> list[spec_pb2.InputBinding]:
    return [spec_pb2.InputBinding(data_set_input=name, argument=name) for name in inputs]


def _select(forward: Callable[..., Any], output: str | int | None) -> Callable[..., Tensor]:
    """forward(), and of its outputs the one that is asked for."""

    def run(*arguments: Any, **named: Any) -> Tensor:
        return pick(forward(*arguments, **named), output)

    return run


def pick(outputs: Any, output: str | int | None = None) -> Tensor:
    """`output` of what a model gives, else what the server would take: a tensor itself, `logits`, or the first."""
    if output is None and isinstance(outputs, Tensor):
        return outputs
    is_mapping = isinstance(outputs, Mapping)
    if output is None:
        has_logits = "logits" in outputs if is_mapping else hasattr(outputs, "logits")
        output = "logits" if has_logits else 0
    try:
        if isinstance(output, int):
            chosen = list(outputs.values() if is_mapping else outputs)[output]
        else:
            chosen = outputs[output] if is_mapping else getattr(outputs, output)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ExportRefused(f"the model's outputs have no {output!r}: {type(outputs).__name__}") from error
    if not isinstance(chosen, Tensor):
        raise ExportRefused(f"output {output!r} is {type(chosen).__name__}, not a tensor")
    return chosen


def _image_binding(argument: str, mean: Sequence[float], standard_deviation: Sequence[float]) -> spec_pb2.InputBinding:
    return spec_pb2.InputBinding(
        data_set_input="images", argument=argument, scale_to_unit=True, mean=mean, standard_deviation=standard_deviation
    )


def _transform(
    size: tuple[int, int], shorter_side: int, squash: bool, interpolation: str
) -> spec_pb2.ImageTransform | None:
    if interpolation not in ("bicubic", "bilinear"):
        return None
    transform = spec_pb2.ImageTransform(crop_height=size[0], crop_width=size[1])
    transform.interpolation = (
        spec_pb2.ImageTransform.BICUBIC if interpolation == "bicubic" else spec_pb2.ImageTransform.BILINEAR
    )
    if squash:
        transform.resize_height = transform.resize_width = shorter_side
    else:
        transform.resize_shorter_side = shorter_side
    return transform


def _timm(model: nn.Module, inputs: Inputs | None, output: str | int | None) -> Contract:
    from timm.data import resolve_data_config

    config = resolve_data_config(model=model)
    size = config["input_size"]
    named = _named(type(model).forward, torch.randn(2, *size) if inputs is None else inputs)
    transform = None
    if config["crop_mode"] in ("center", "squash") and size[1] == size[2]:
        side = math.floor(size[1] / config["crop_pct"])
        transform = _transform(size[1:], side, config["crop_mode"] == "squash", config["interpolation"])
    binding = _image_binding(next(iter(named)), config["mean"], config["std"])
    notes = [] if transform else [f"give image_transform: this is not known here: {config}"]
    return Contract(named, _select(type(model).forward, output), output is None, [binding], transform, notes)


def _open_clip(model: nn.Module, inputs: Inputs | None) -> Contract:
    visual: Any = getattr(model, "visual", None)
    if visual is None or not hasattr(model, "encode_image"):
        raise ExportRefused("of open_clip's models only those with encode_image() are known")
    size = visual.image_size if isinstance(visual.image_size, tuple) else (visual.image_size, visual.image_size)
    if inputs is None:
        inputs = torch.randn(2, 3, *size)
    config = getattr(visual, "preprocess_cfg", {})
    mean = config.get("mean") or getattr(visual, "image_mean", None) or (0.48145466, 0.4578275, 0.40821073)
    std = config.get("std") or getattr(visual, "image_std", None) or (0.26862954, 0.26130258, 0.27577711)
    squash = config.get("resize_mode", "shortest") == "squash"
    known = size[0] == size[1] and config.get("resize_mode", "shortest") in ("shortest", "squash")
    transform = _transform(size, size[0], squash, config.get("interpolation", "bicubic")) if known else None
    encode = type(model).encode_image

    def run(model: nn.Module, image: Tensor) -> Tensor:
        features: Tensor = encode(model, image)
        return features

    notes = ["the outputs are image features, not normalised: give data sets a classifier with normalize_features"]
    return Contract(_named(encode, inputs), run, False, [_image_binding("image", mean, std)], transform, notes)


def _transformers(model: Any, inputs: Inputs | None, output: str | int | None) -> Contract:
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")  # the others choose their code by looking at values
    model.config.use_cache = False
    if inputs is None:
        inputs = _transformers_inputs(model)
    named = _named(type(model).forward, inputs)
    bindings, notes = _bind(named), []
    for binding in bindings:
        if binding.argument == "pixel_values":
            binding.data_set_input = "images"
            binding.normalize_as_held_out = True
            notes.append('give the held-out set image_transform={"config_uri": preprocessor_config.json}')
    return Contract(named, _select(type(model).forward, output), False, bindings, None, notes)


def _transformers_inputs(model: Any) -> dict[str, Tensor]:
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return {"pixel_values": torch.randn(2, getattr(model.config, "num_channels", 3), height, width)}
    if model.main_input_name == "input_ids":
        ids = torch.randint(0, config.vocab_size, (2, 16))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    raise ExportRefused(f"give inputs: the model takes {model.main_input_name}")
