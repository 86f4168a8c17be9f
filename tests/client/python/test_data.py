"""Data sets that are prepared here are read by the server as what they were."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import stockpot
from safetensors.torch import load_file
from stockpot import data
from stockpot.errors import InvalidArgument
from stockpot.v1 import spec_pb2


def seen(client: stockpot.Client, data_set: spec_pb2.DataSet) -> Any:
    """The server's description of it."""
    return client.inspect(data_set=data_set)


def images(count: int, size: int = 8) -> list[tuple[Any, int]]:
    pil = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(1)
    return [(pil.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)), i % 3) for i in range(count)]


def test_tensors(client: stockpot.Client, folder: pathlib.Path) -> None:
    made = data.save_tensors(folder / "a" / "t.safetensors", {"x": np.ones((5, 4))}, [0, 1, 2, 1, 0], name="test")
    found = seen(client, made)
    assert (found.example_count, found.class_count, list(found.first_labels)) == (5, 3, [0, 1, 2, 1, 0])
    assert found.inputs[0].dtype == "F32" and made.name == "test"


@pytest.mark.parametrize(
    "name, inputs, labels, words",
    [
        ("t.pt", {"x": [1.0]}, [0], "must end with"),
        ("t.safetensors", {}, [0], "there is none"),
        ("t.safetensors", {"x": [1.0, 2.0]}, [0], "as labels"),
        ("t.safetensors", {"x": []}, [], "at least one"),
        ("t.safetensors", {"x": [float("nan")]}, [0], "not finite"),
        ("t.safetensors", {"labels": [1.0]}, [0], "by themselves"),
    ],
)
def test_tensors_that_make_no_sense(name: str, inputs: Any, labels: Any, words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidArgument, match=words):
        data.save_tensors(tmp_path / name, inputs, labels)
    assert not list(tmp_path.iterdir())


def test_pictures(client: stockpot.Client, folder: pathlib.Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    pairs = images(7)
    made = data.save_images(pairs, folder / "set", ["<cat>", "ant", "bee"])
    pictures = client.pictures(made, 5)
    assert [picture.label for picture in pictures] == ["<cat>", "<cat>", "<cat>", "ant", "ant"]
    # Examples come class by class.
    originals = [image for label in range(3) for image, own in pairs if own == label][:5]
    for picture, original in zip(pictures, originals, strict=True):
        assert np.array_equal(np.asarray(pil.open(io.BytesIO(picture._repr_png_()))), np.asarray(original))
    page = pictures[:2]._repr_html_()
    assert page.count("data:image/png;base64,") == 2 and "&lt;cat&gt;" in page and "<cat>" not in page
    with pytest.raises(InvalidArgument, match="picture_count"):
        client.pictures(made, 65)


def test_images(client: stockpot.Client, folder: pathlib.Path) -> None:
    made = data.save_images(images(7), folder / "set", ["cat", "ant", "empty"])
    found = seen(client, made)
    assert list(found.class_names) == ["cat", "ant", "empty"] and list(found.class_example_counts) == [3, 2, 2]
    with pytest.raises(InvalidArgument, match="is not empty"):
        data.save_images(images(7), folder / "set", ["a", "b", "c"])
    for bad, names in [(images(3), ["a", "b"]), ([(np.ones(3), 0)], ["a"]), ([], ["a"]), (images(1), ["../a"])]:
        with pytest.raises(InvalidArgument):
            data.save_images(bad, folder / "bad", names)
    assert [path.name for path in folder.iterdir()] == ["set"]


def test_a_folder_of_torchvision(client: stockpot.Client, folder: pathlib.Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    data.save_images(images(9), folder / "set", ["b", "a", "c"])
    data_set = torchvision.datasets.ImageFolder(folder / "set")
    found = seen(client, data.image_folder(data_set))
    assert list(found.class_names) == data_set.classes
    assert list(found.first_labels) == [float(label) for _, label in data_set.samples]
    (folder / "set" / "a" / "notes.txt").touch()
    with pytest.raises(InvalidArgument, match="9 of 10 files"):
        data.image_folder(data_set)


def test_hugging_face_images(client: stockpot.Client, folder: pathlib.Path) -> None:
    datasets = pytest.importorskip("datasets")
    pairs = images(8)
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["x", "y", "z"]),
            "note": datasets.Value("string"),
        }
    )
    columns = {"picture": [i for i, _ in pairs], "kind": [k for _, k in pairs], "note": ["n"] * 8}
    in_memory = datasets.Dataset.from_dict(columns, features=features)
    files = folder / "files"
    data.save_images(pairs, files, ["x", "y", "z"])
    paths = sorted((str(path) for path in files.rglob("*.png")), key=lambda path: path[-12:])
    in_files = datasets.Dataset.from_dict({**columns, "picture": paths}, features=features)
    digests = []
    for i, data_set in enumerate([in_memory, in_files]):
        made = data.from_datasets(data_set, folder / f"{i}.parquet")
        for path in paths if i else []:
            pathlib.Path(path).unlink()  # the file alone is enough
        found = seen(client, made)
        assert list(found.class_names) == ["x", "y", "z"]
        assert list(found.first_labels) == [float(label) for _, label in pairs]
        digests.append(found.digest)
    assert digests[0] == digests[1]


def test_hugging_face_numbers(client: stockpot.Client, folder: pathlib.Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"input_ids": [[1, 2, 3], [4, 5, 6]], "length": [3, 3], "text": ["a", "b"], "label": [1, 0]}
    data_set = datasets.Dataset.from_dict(columns)
    found = seen(client, data.from_datasets(data_set, folder / "all.parquet"))
    assert {each.name: list(each.shape) for each in found.inputs} == {"input_ids": [3], "length": []}
    found = seen(client, data.from_datasets(data_set, folder / "ids.parquet", inputs=["input_ids"]))
    assert [each.name for each in found.inputs] == ["input_ids"]
    for arguments in [{"label": "no"}, {"inputs": ["no"]}]:
        with pytest.raises(InvalidArgument):
            data.from_datasets(data_set, folder / "bad.parquet", **arguments)
    with pytest.raises(InvalidArgument, match="choose a split"):
        data.from_datasets(datasets.DatasetDict({"train": data_set}), folder / "bad.parquet")


@pytest.fixture
def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[END]", *"abcdefg"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", eos_token="[END]")


def test_text(client: stockpot.Client, folder: pathlib.Path, tokenizer: Any) -> None:
    made = data.tokenise(["a b", "c d e f g", "a"], [0, 1, 1], tokenizer, folder / "t.safetensors", length=4)
    tensors = load_file(made.uri)
    assert tensors["input_ids"].tolist() == [[3, 4, 0, 0], [5, 6, 7, 8], [3, 0, 0, 0]]
    assert tensors["attention_mask"].sum(1).tolist() == [2, 4, 1]
    assert {"input_ids", "attention_mask"} <= {each.name for each in seen(client, made).inputs}
    paired = data.tokenise([("a", "b"), ("c", "d")], [0.5, 1.5], tokenizer, folder / "p.safetensors", length=3)
    assert load_file(paired.uri)["input_ids"].tolist() == [[3, 4, 0], [5, 6, 0]]
    with pytest.raises(InvalidArgument, match="2 texts and 1 labels"):
        data.tokenise(["a", "b"], [0], tokenizer, folder / "t.safetensors", length=4)


def test_every_token_but_the_first_is_predicted_once(folder: pathlib.Path, tokenizer: Any) -> None:
    made = data.language_model(["a b c", "d e"], tokenizer, folder / "l.safetensors", length=4)
    tensors = load_file(made.uri)
    assert tensors["input_ids"].tolist() == [[3, 4, 5, 2], [6, 7, 7, 7]]
    assert tensors["labels"].tolist() == [[4, 5, 2, 6], [7, 2, -100, -100]]
    with pytest.raises(InvalidArgument, match="fewer than two tokens"):
        data.language_model([""], tokenizer, folder / "e.safetensors", length=4)
