"""Images that are hard to resize wrongly and pass: the photographs that scikit-learn carries, cut to sizes."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def photographs(sizes: list[tuple[int, int]]) -> list[Image.Image]:
    """RGB images of these heights and widths."""
    scenes = [Image.fromarray(np.asarray(scene)) for scene in load_sample_images().images]
    return [
        scenes[i % len(scenes)].resize((width, height), Image.Resampling.LANCZOS)
        for i, (height, width) in enumerate(sizes)
    ]
