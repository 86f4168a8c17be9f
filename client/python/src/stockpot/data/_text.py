"""Text as tokens of one length, in a safetensors file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InvalidArgument
from ..v1 import spec_pb2
from ._tensors import save_tensors

# Positions that do not count: EvaluationPlan.LANGUAGE_MODEL.
_NOT_COUNTED = -100


def tokenise(
    texts: Sequence[str] | Sequence[tuple[str, str]],
    labels: Sequence[int] | Sequence[float],
    tokenizer: Any,
    path: str | os.PathLike[str],
    *,
    length: int,
    name: str = "",
) -> spec_pb2.DataSet:
    """Texts, or pairs of them, by a tokenizer of transformers: `input_ids`, `attention_mask` and what else it gives.

    Padded and cut to `length` tokens, since every example of a data set has one shape. Labels are classes, or numbers to
    predict.
    """
    if len(texts) != len(labels):
        raise InvalidArgument(f"there are {len(texts)} texts and {len(labels)} labels")
    pairs = bool(texts) and not isinstance(texts[0], str)
    columns = [[text[i] for text in texts] for i in (0, 1)] if pairs else [list(texts)]
    encoded = tokenizer(*columns, padding="max_length", truncation=True, max_length=length)
    return save_tensors(path, dict(encoded), labels, name=name)


def language_model(
    texts: Iterable[str], tokenizer: Any, path: str | os.PathLike[str], *, length: int, name: str = ""
) -> spec_pb2.DataSet:
    """Texts one after the other, divided into blocks of `length` tokens: `input_ids`, and as labels the tokens that follow.

    Between texts is the tokenizer's end-of-text token, where it has one. Every token but the first is predicted once.
    The last block is filled up with positions that do not count. For problem="language-model".
    """
    stream: list[int] = []
    for text in texts:
        stream += tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokenizer.eos_token_id is not None:
            stream.append(tokenizer.eos_token_id)
    if len(stream) < 2:
        raise InvalidArgument("the texts have fewer than two tokens")
    inputs, labels = stream[:-1], stream[1:]
    missing = -len(inputs) % length
    inputs += [inputs[-1]] * missing
    labels += [_NOT_COUNTED] * missing

    def blocks(tokens: list[int]) -> list[list[int]]:
        return [tokens[i : i + length] for i in range(0, len(tokens), length)]

    return save_tensors(path, {"input_ids": blocks(inputs)}, blocks(labels), name=name)
