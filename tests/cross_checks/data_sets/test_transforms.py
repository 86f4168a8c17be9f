"""Presets and preprocessor files, against torchvision, timm, open_clip and transformers: within one grey level a pixel."""

import json
import pathlib
import tempfile
import unittest

import numpy as np
import open_clip
import timm.data
import torch
import transformers
from PIL import Image
from torchvision import transforms
from torchvision.models import ResNet50_Weights

from images import photographs
from running_service import cached_images, running_service
from service import Service

# Each has an odd difference to crop away somewhere.
SIZES = [(301, 403), (500, 375), (257, 641), (480, 479)]


def to_levels(values, mean, std):
    """Normalised values [3, H, W] as the grey levels that they were made from."""
    mean = np.asarray(mean, dtype=np.float64)[:, None, None]
    std = np.asarray(std, dtype=np.float64)[:, None, None]
    return (np.asarray(values, dtype=np.float64) * std + mean) * 255


class Transforms(unittest.TestCase):
    def setUp(self):
        self.service: Service = running_service()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
        self.images = photographs(SIZES)

    def check(self, flags, expected):
        """`expected` gives the grey levels [3, H, W] of an image, as floating point."""
        for i, image in enumerate(self.images):
            folder = self.folder / f"{self._testMethodName}_{i}"
            (folder / "class").mkdir(parents=True)
            image.save(folder / "class" / "0.png")
            found = self.service.inspect_data_set(folder, *flags)
            pixels = cached_images(self.service)[0].astype(np.float64)
            levels = expected(image)
            self.assertEqual(pixels.shape, levels.shape)
            difference = np.abs(pixels - levels).max()
            self.assertLessEqual(difference, 1 + 1e-3, f"{SIZES[i]}: {difference}")
        return found

    def by_file(self, config, expected, mean):
        file = self.folder / "config.json"
        file.write_text(json.dumps(config))
        found = self.check(["--preprocessor", file], expected)
        np.testing.assert_allclose(found["mean"], mean, rtol=1e-6)

    def test_torchvision(self):
        for preset, weights in [("torchvision-v1", "IMAGENET1K_V1"), ("torchvision-v2", "IMAGENET1K_V2")]:
            with self.subTest(preset):
                transform = ResNet50_Weights[weights].transforms(antialias=True)
                levels = lambda image: to_levels(transform(image), transform.mean, transform.std)
                self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
                found = self.check(["--preset", preset], levels)
                np.testing.assert_allclose(found["mean"], transform.mean, rtol=1e-6)

    def test_timm(self):
        for crop_pct, mode, interpolation in [
            (0.875, "center", "bicubic"),
            (0.9, "center", "bilinear"),
            (1.0, "squash", "bicubic"),
        ]:
            with self.subTest(crop_pct=crop_pct, mode=mode):
                config = {
                    "architecture": "vit_tiny_patch16_224",
                    "pretrained_cfg": {
                        "input_size": [3, 224, 224],
                        "crop_pct": crop_pct,
                        "crop_mode": mode,
                        "interpolation": interpolation,
                        "mean": [0.485, 0.456, 0.406],
                        "std": [0.229, 0.224, 0.225],
                    },
                }
                data_config = timm.data.resolve_data_config(pretrained_cfg=config["pretrained_cfg"])
                transform = timm.data.create_transform(**data_config, is_training=False)
                levels = lambda image: to_levels(transform(image), data_config["mean"], data_config["std"])
                self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
                self.by_file(config, levels, data_config["mean"])

    def test_open_clip(self):
        for mode, interpolation in [("shortest", "bicubic"), ("squash", "bilinear")]:
            with self.subTest(mode):
                config = {
                    "size": 224,
                    "mode": "RGB",
                    "mean": [0.48145466, 0.4578275, 0.40821073],
                    "std": [0.26862954, 0.26130258, 0.27577711],
                    "interpolation": interpolation,
                    "resize_mode": mode,
                    "fill_color": 0,
                }
                transform = open_clip.transform.image_transform_v2(
                    open_clip.transform.PreprocessCfg(**config), is_train=False
                )
                levels = lambda image: to_levels(transform(image), config["mean"], config["std"])
                self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
                self.by_file({"model_cfg": {}, "preprocess_cfg": config}, levels, config["mean"])

    def test_clip_preset(self):
        transform = open_clip.transform.image_transform_v2(
            open_clip.transform.PreprocessCfg(size=224), is_train=False
        )
        mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        self.check(["--preset", "clip"], lambda image: to_levels(transform(image), mean, std))

    def test_transformers(self):
        """Pixels are those of its Pillow backend; its torchvision backend is as far from both."""
        for name, arguments in [
            ("ViTImageProcessor", {}),
            ("DeiTImageProcessor", {}),
            ("BeitImageProcessor", {"do_center_crop": True, "size": {"height": 256, "width": 256}}),
            ("SiglipImageProcessor", {}),
            ("CLIPImageProcessor", {}),
            ("BitImageProcessor", {"size": {"shortest_edge": 255}}),
            ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),
            ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
        ]:
            with self.subTest(name, **arguments):
                pillow = getattr(transformers, name + "Pil")(**arguments)
                tensors = getattr(transformers, name)(**arguments)
                for processor in [pillow, tensors]:
                    saved = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
                    processor.save_pretrained(saved)
                    config = json.loads((saved / "preprocessor_config.json").read_text())

                    def levels(image):
                        values = [p(image, return_tensors="pt")["pixel_values"][0] for p in [pillow, tensors]]
                        of_pillow, of_tensors = (to_levels(v, pillow.image_mean, pillow.image_std) for v in values)
                        # Torch's resize of 8-bit tensors rounds otherwise; another size or crop would differ by more.
                        self.assertLess(np.abs(of_pillow - of_tensors).mean(), 1)
                        return of_pillow

                    self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
                    self.by_file(config, levels, processor.image_mean)


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main()
