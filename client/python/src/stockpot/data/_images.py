"""Images: folders of files, and the Parquet files of Hugging Face."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidArgument
from ..v1 import spec_pb2

Path = str | os.PathLike[str]


def image_folder(data_set: Any, *, name: str = "") -> spec_pb2.DataSet:
    """A torchvision.datasets.ImageFolder or DatasetFolder as it lies on disk, without its transform: JobSpec has its own.

    Raises InvalidArgument when it was made otherwise than the server would read it.
    """
    root, classes = pathlib.Path(data_set.root).absolute(), list(data_set.classes)
    known = {path for path, _ in data_set.samples}
    found = {str(path) for folder in classes for path in (root / folder).rglob("*") if path.is_file()}
    if len(known) != len(found):
        raise InvalidArgument(
            f"{root}: the data set has {len(known)} of {len(found)} files: save_images copies those it has"
        )
    return spec_pb2.DataSet(uri=str(root), name=name, format=spec_pb2.DataSet.IMAGE_FOLDER, class_names=classes)


def save_images(
    examples: Iterable[tuple[Any, int]], folder: Path, class_names: Sequence[str], *, name: str = ""
) -> spec_pb2.DataSet:
    """Writes (image of PIL, label) pairs, such as a torchvision data set without a transform, as CLASS/00000001.png.

    PNG keeps every pixel. The folder must not exist, or be empty.
    """
    target = pathlib.Path(folder).absolute()
    if target.exists() and any(target.iterdir()):
        raise InvalidArgument(f"{target}: is not empty")
    for each in class_names:
        if not each or each in (".", "..") or "/" in each or "\0" in each:
            raise InvalidArgument(f"class_names: {each!r} cannot be a folder's name")
    if len(set(class_names)) != len(class_names):
        raise InvalidArgument("class_names: two are the same")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        count = _write(examples, scratch, class_names)
        if count == 0:
            raise InvalidArgument("there is no example")
        scratch.chmod(0o755)
        if target.exists():
            target.rmdir()
        os.replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return spec_pb2.DataSet(uri=str(target), name=name, format=spec_pb2.DataSet.IMAGE_FOLDER, class_names=class_names)


def _write(examples: Iterable[tuple[Any, int]], folder: pathlib.Path, class_names: Sequence[str]) -> int:
    for each in class_names:
        (folder / each).mkdir()
    count = 0
    for image, label in examples:
        if not hasattr(image, "convert"):
            raise InvalidArgument(
                f"example {count}: expected an image of PIL; got {type(image).__name__}: set transform=None"
            )
        if not 0 <= int(label) < len(class_names):
            raise InvalidArgument(f"example {count}: label {label} is none of {len(class_names)} classes")
        image.convert("RGB").save(folder / class_names[int(label)] / f"{count:08d}.png")
        count += 1
    return count


def from_datasets(
    data_set: Any,
    path: Path,
    *,
    label: str | None = None,
    inputs: Sequence[str] | None = None,
    name: str = "",
) -> spec_pb2.DataSet:
    """A datasets.Dataset as a Parquet file, which the server reads: an image column, or columns of numbers and of lists.

    `label` is the column with the labels, by default `label`, `labels` or the only ClassLabel. Columns other than it, the
    image and `inputs` (default: those of numbers) are left out. Raises InvalidArgument.
    """
    import datasets

    target = pathlib.Path(path).absolute()
    if target.suffix != ".parquet":
        raise InvalidArgument(f"{target}: the name must end with .parquet")
    if not isinstance(data_set, datasets.Dataset):
        raise InvalidArgument(f"expected a datasets.Dataset; got {type(data_set).__name__}: choose a split")
    features = data_set.features
    column = _label_column(features, label)
    image = next((key for key, kind in features.items() if isinstance(kind, datasets.Image)), None)
    kept = (
        [image]
        if image
        else list(inputs or [key for key in features if key != column and _holds_numbers(features[key])])
    )
    if not kept or any(key not in features for key in kept):
        raise InvalidArgument(f"inputs: the data set has {', '.join(features)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(target.name + ".part")
    try:
        _embedded(data_set.select_columns([*kept, column]), image).to_parquet(str(scratch))
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    result = spec_pb2.DataSet(uri=str(target), name=name, label_tensor=column, format=spec_pb2.DataSet.PARQUET)
    if image:
        result.image_column = image
    return result


def _label_column(features: Mapping[str, Any], label: str | None) -> str:
    import datasets

    classes = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    wanted = [label] if label else ["label", "labels", *(classes if len(classes) == 1 else [])]
    for key in wanted:
        if key in features:
            return key
    raise InvalidArgument(f"label: expected one of the columns {', '.join(features)}; got {label!r}")


def _holds_numbers(feature: Any) -> bool:
    while hasattr(feature, "feature"):  # of lists
        feature = feature.feature
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint", "float", "bool"))


def _embedded(data_set: Any, image: str | None) -> Any:
    """With the bytes of images that lie in files elsewhere: the server has only the Parquet file."""
    if image is None:
        return data_set
    from datasets.table import embed_table_storage

    arrow = data_set.with_format("arrow")
    return arrow.map(embed_table_storage, batched=True, batch_size=100, load_from_cache_file=False).with_format(None)
