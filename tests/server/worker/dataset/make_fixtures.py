#!/usr/bin/env python3
"""Makes data/: small images and what Pillow and torchvision make of them.

Needs pillow, numpy, torch, torchvision and safetensors; only for changing the fixtures, the tests
read what is committed. Made with Pillow 13.0 (libjpeg-turbo 3.2, libwebp 1.6), torchvision 0.26.

  python3 tests/server/worker/dataset/make_fixtures.py

data/NAME.{jpg,png,webp}    an encoded image
data/expected.safetensors   decode/FILE              uint8 [height, width, 3]: Image.convert("RGB")
                            resize/RULE/FILE         the same after a geometry; see GEOMETRIES
"""
import io
import pathlib
import struct
import zlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import functional as F
from torchvision.transforms import InterpolationMode

FOLDER = pathlib.Path(__file__).parent / "data"
EXPECTED = {}


def scene(height, width, seed, channels=3):
    """Smooth colours, a hard edge and a little noise: exercises chroma upsampling and clamping."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [127 + 127 * np.sin((x * (1 + c) + y * (3 - c)) / 9 + c) for c in range(channels)]
    image = np.stack(planes, axis=-1)
    image[(x > width * 0.6) & (y > height * 0.3)] = [255, 0, 30, 200][:channels]
    image += random.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).round().astype(np.uint8)


def add(name, encoded):
    (FOLDER / name).write_bytes(encoded)
    EXPECTED["decode/" + name] = np.array(Image.open(io.BytesIO(encoded)).convert("RGB"))


def save(name, image, **options):
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG"}.get(name.split(".")[-1], name.split(".")[-1].upper()), **options)
    add(name, buffer.getvalue())


def png(width, height, depth, color, rows, chunks=b"", interlace=0):
    """A PNG of kinds that Pillow does not write."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def raw(samples, bytes_per_row_of):
    return b"".join(b"\0" + bytes_per_row_of(row) for row in samples)


def adam7(samples):
    """The seven passes of an interlaced image of whole-byte pixels."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    return b"".join(raw(samples[y::dy, x::dx], lambda row: row.tobytes())
                    for y, x, dy, dx in passes if samples[y::dy, x::dx].size)


def jpegs():
    colour = Image.fromarray(scene(37, 45, 1))
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        save(f"{name}.jpg", colour, quality=85, subsampling=sampling)
    save("progressive.jpg", colour, quality=70, subsampling=2, progressive=True)
    save("low_quality.jpg", colour, quality=10, subsampling=2)
    save("rgb.jpg", colour, quality=90, keep_rgb=True)
    save("restart.jpg", colour, quality=80, restart_marker_blocks=2)
    save("grey.jpg", colour.convert("L"), quality=85)
    save("cmyk.jpg", Image.fromarray(scene(21, 18, 2, channels=4), "CMYK"), quality=90)
    ycck = io.BytesIO()
    Image.fromarray(scene(21, 18, 3, channels=4), "CMYK").save(ycck, "JPEG", quality=90)
    # The Adobe segment says how the four components are stored: 0 CMYK, 2 YCCK.
    encoded = bytearray(ycck.getvalue())
    adobe = encoded.index(b"Adobe")
    encoded[adobe + 11] = 2
    add("ycck.jpg", bytes(encoded))
    exif = Image.Exif()
    exif[0x0112] = 6
    save("exif_rotated.jpg", colour, quality=85, exif=exif)
    save("one_pixel.jpg", Image.fromarray(scene(1, 1, 4)), quality=85)


def pngs():
    colour, alpha = scene(13, 17, 5), scene(13, 17, 6, channels=4)
    save("rgb.png", Image.fromarray(colour))
    save("rgba.png", Image.fromarray(alpha, "RGBA"))
    save("grey.png", Image.fromarray(colour[..., 0]))
    save("grey_alpha.png", Image.fromarray(np.ascontiguousarray(alpha[..., 2:]), "LA"))
    save("black_white.png", Image.fromarray(colour[..., 0]).convert("1"))
    palette = Image.fromarray(colour).quantize(11)
    save("palette.png", palette)
    save("palette_transparent.png", palette, transparency=bytes([0, 128, 255]))
    save("rgb_transparent.png", Image.fromarray(colour), transparency=tuple(int(v) for v in colour[0, 0]))
    save("grey_transparent.png", Image.fromarray(colour[..., 0]), transparency=int(colour[0, 0, 0]))
    ramp = np.array([[0, 1, 127, 128, 254, 255, 256, 257], [1000, 32768, 40000, 65279, 65280, 65281, 65534, 65535]])
    wide = lambda values: np.asarray(values).astype(">u2").tobytes()
    add("grey16.png", png(8, 2, 16, 0, raw(ramp, wide)))
    random = np.random.default_rng(7)
    for name, color, channels in (("rgb16", 2, 3), ("grey_alpha16", 4, 2), ("rgba16", 6, 4)):
        samples = random.integers(0, 65536, (6, 7 * channels))
        add(name + ".png", png(7, 6, 16, color, raw(samples, wide)))
    for depth in (2, 4):
        rows = random.integers(0, 256, (5, 16 * depth // 8)).astype(np.uint8)
        add(f"grey{depth}.png", png(16, 5, depth, 0, raw(rows, lambda row: row.tobytes())))
    add("interlaced.png", png(17, 13, 8, 2, adam7(colour), interlace=1))


def webps():
    colour, alpha = Image.fromarray(scene(23, 31, 8)), Image.fromarray(scene(23, 31, 9, channels=4), "RGBA")
    save("lossy.webp", colour, quality=70)
    save("lossless.webp", colour, lossless=True)
    save("lossy_alpha.webp", alpha, quality=70)
    save("lossless_alpha.webp", alpha, lossless=True, exact=True)


def geometries():
    """Rule: "KIND:SIZE:INTERPOLATION:ANTIALIAS:CROP", sizes as HxW or one number (shorter side)."""
    sources = {"420.jpg": ["side:20", "side:64", "exact:37x19", "exact:90x45", "exact:7x101", "exact:20x40", "side:5"],
               "rgb.png": ["side:13", "side:8", "exact:1x1", "exact:50x3"]}
    for name, rules in sources.items():
        image = Image.fromarray(EXPECTED["decode/" + name])
        for rule in rules:
            for interpolation in (InterpolationMode.BICUBIC, InterpolationMode.BILINEAR):
                size = [int(n) for n in rule.split(":")[1].split("x")]
                key = f"{rule}:{interpolation.value}"
                EXPECTED[f"resize/{key}:antialias:none/{name}"] = np.array(F.resize(image, size, interpolation))
                tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
                plain = F.resize(tensor, size, interpolation, antialias=False)
                EXPECTED[f"resize/{key}:plain:none/{name}"] = plain.permute(1, 2, 0).contiguous().numpy()
        for crop in ((8, 8), (9, 12), (12, 9), (40, 10), (10, 60), (50, 51)):
            cropped = F.center_crop(image, list(crop))
            EXPECTED[f"resize/none:0:bicubic:antialias:{crop[0]}x{crop[1]}/{name}"] = np.array(cropped)
        both = F.center_crop(F.resize(image, [24], InterpolationMode.BICUBIC), [21, 22])
        EXPECTED[f"resize/side:24:bicubic:antialias:21x22/{name}"] = np.array(both)


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    jpegs()
    pngs()
    webps()
    geometries()
    save_file(EXPECTED, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
