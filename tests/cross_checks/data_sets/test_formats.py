"""Files that datasets, webdataset and NumPy write, read as the data set that they were made from."""

import csv
import json
import pathlib
import tempfile
import unittest

import datasets
import numpy as np
import webdataset
from PIL import Image
from sklearn.datasets import load_digits

from running_service import running_service

NAMES = [f"digit {i}" for i in range(10)]
COUNT = 120


class Formats(unittest.TestCase):
    def setUp(self):
        self.service = running_service()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
        digits = load_digits()
        order = np.argsort(digits.target[:COUNT], kind="stable")
        self.labels = digits.target[:COUNT][order]
        grey = (digits.images[:COUNT][order] * 15).astype(np.uint8)
        self.pixels = np.repeat(grey[:, None], 3, axis=1)
        self.images = [Image.fromarray(image).convert("RGB") for image in grey]
        image_folder = self.folder / "folder"
        for i, (image, label) in enumerate(zip(self.images, self.labels)):
            path = image_folder / NAMES[label] / f"{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        self.expected = self.service.inspect_data_set(image_folder)

    def assert_same(self, found, names=True):
        self.assertEqual(found["digest"], self.expected["digest"])
        counts = np.bincount(self.labels)
        self.assertEqual([int(count) for count in found["class_example_counts"]], list(counts))
        if names:
            self.assertEqual(found["class_names"], NAMES)

    def test_datasets(self):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
        data = datasets.Dataset.from_dict({"image": self.images, "label": self.labels.tolist()}, features=features)
        for shards in [1, 3]:
            folder = self.folder / f"hub{shards}" / "data"
            folder.mkdir(parents=True)
            for i in range(shards):
                file = folder / f"test-{i:05}-of-{shards:05}.parquet"
                data.shard(num_shards=shards, index=i, contiguous=True).to_parquet(str(file))
            self.assert_same(self.service.inspect_data_set(folder.parent, "--format", "parquet", "--split", "test"))

    def test_datasets_of_tokens(self):
        tokens = np.arange(COUNT * 7).reshape(COUNT, 7) % 100
        data = datasets.Dataset.from_dict(
            {"input_ids": tokens.tolist(), "sentence": ["x"] * COUNT, "label": self.labels.tolist()},
            features=datasets.Features({
                "input_ids": datasets.List(datasets.Value("int64"), length=7),
                "sentence": datasets.Value("string"),
                "label": datasets.ClassLabel(names=NAMES),
            }),
        )
        data.to_parquet(str(self.folder / "tokens.parquet"))
        found = self.service.inspect_data_set(self.folder / "tokens.parquet")
        self.assertEqual(found["class_names"], NAMES)
        self.assertEqual(found["inputs"][0]["name"], "input_ids")
        np.savez(self.folder / "tokens.npz", input_ids=tokens, labels=self.labels)
        self.assertEqual(self.service.inspect_data_set(self.folder / "tokens.npz")["digest"], found["digest"])

    def test_webdataset(self):
        pattern = str(self.folder / "digits-%03d.tar")
        with webdataset.ShardWriter(pattern, maxcount=50, verbose=0) as writer:
            for i, (image, label) in enumerate(zip(self.images, self.labels)):
                writer.write({"__key__": f"{i:06}", "png": image, "cls": int(label), "json": {"digit": NAMES[label]}})
        shards = self.folder / "digits-{000..002}.tar"
        self.assert_same(self.service.inspect_data_set(shards), names=False)
        self.assert_same(self.service.inspect_data_set(shards, "--label-tensor", "json:digit"))

    def test_numpy(self):
        np.savez(self.folder / "digits.npz", images=self.pixels, labels=self.labels)
        self.assert_same(self.service.inspect_data_set(self.folder / "digits.npz"), names=False)
        folder = self.folder / "arrays"
        folder.mkdir()
        np.save(folder / "images.npy", self.pixels)
        np.save(folder / "labels.npy", self.labels.astype(np.int32))
        self.assert_same(self.service.inspect_data_set(folder, "--format", "numpy"), names=False)
        np.savez_compressed(self.folder / "small.npz", images=self.pixels, labels=self.labels)
        with self.assertRaisesRegex(AssertionError, "numpy.savez"):
            self.service.inspect_data_set(self.folder / "small.npz")

    def test_manifests(self):
        rows = [(f"{NAMES[label]}/{i:03}.png", NAMES[label]) for i, label in enumerate(self.labels)]
        with open(self.folder / "folder" / "list.csv", "w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerows([("file_name", "label"), *rows])
        self.assert_same(self.service.inspect_data_set(self.folder / "folder" / "list.csv"))
        lines = [json.dumps({"path": path, "label": label}) for path, label in rows]
        (self.folder / "folder" / "list.jsonl").write_text("\n".join(lines))
        self.assert_same(self.service.inspect_data_set(self.folder / "folder" / "list.jsonl"))


if __name__ == "__main__":
    unittest.main()
