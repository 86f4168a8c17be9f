"""Writes the seeds of the fuzzers into corpus/, by the real writers: tiny files of every kind that is read.

    python make_corpus.py     (the environment of tests/cross_checks has what it needs)

The files are committed. Inputs that a fuzzer found are beside them under names that begin with "found-": they stay.
"""

import collections
import io
import json
import pathlib
import struct
import tarfile
import zipfile

import numpy
import torch
from PIL import Image
from safetensors.torch import save

CORPUS = pathlib.Path(__file__).parent / "corpus"


def put(fuzzer: str, name: str, content: bytes) -> None:
    folder = CORPUS / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "a.weight": torch.randn(2, 3),
        "a.bias": torch.randn(2).bfloat16(),
        "steps": torch.tensor(7),
        "empty": torch.zeros(0, 2),
        "mask": torch.tensor([True, False]),
    }


def safetensors() -> None:
    put("safetensors", "plain", save(tensors(), metadata={"format": "pt"}))
    put("safetensors", "one", save({"w": torch.ones(2)}))
    put("safetensors", "none", save({}))
    kinds = ["float64", "float16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int16", "uint16", "int32", "uint64"]
    put("safetensors", "types", save({kind: torch.zeros(1, dtype=getattr(torch, kind)) for kind in kinds}))
    header = b' \n{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"k":"\\u00e9"}}'
    put("safetensors", "white_space", struct.pack("<Q", len(header)) + header + bytes(4))
    header = b'{"w":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}'
    put("safetensors", "huge_shape", struct.pack("<Q", len(header)) + header + bytes(4))


def torch_saved(value: object, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def parts(archive: bytes) -> tuple[bytes, bytes]:
    """The pickle, and what a storage holds."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = {name.split("/", 1)[1]: name for name in opened.namelist()}
        storage = opened.read(names["data/0"]) if "data/0" in names else b""
        return opened.read(names["data.pkl"]), storage


def torch_files() -> None:
    weights = tensors()
    base = torch.arange(12.0)
    views = {"whole": base, "part": base[3:7], "turned": base.view(3, 4).t(), "wide": base[:1].expand(5)}
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    training = {"epoch": 3, "state_dict": module.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.25}
    prefixed = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in weights.items())
    files = {
        "plain": weights,
        "views": views,
        "parameters": dict(module.named_parameters()),
        "training": training,
        "prefixed": {"model": prefixed, "args": collections.Counter("aab"), "big": 1 << 70, "none": None},
        "float8": {"w": torch.zeros(2).to(torch.float8_e4m3fn)},
        "uint16": {"w": torch.zeros(2, dtype=torch.uint16)},
        "sparse": {"w": torch.eye(2).to_sparse()},
        "complex": {"w": torch.ones(2, dtype=torch.complex64)},
        "conjugate": {"w": torch.ones(2, dtype=torch.complex64).conj()},
        "module": module,
        "array": {"w": numpy.ones(2)},
        "nested": {"model": {"state_dict": {"w": torch.ones(1)}}, "list": [[[(1,)], {2: 3}]]},
    }
    for name, value in files.items():
        archive = torch_saved(value)
        pickle, storage = parts(archive)
        put("pickle", name, pickle)
        put("torch_save", name, pickle + b"PK" + storage)
    for protocol in (3, 4, 5):
        pickle, storage = parts(torch_saved(weights, pickle_protocol=protocol))
        put("pickle", f"protocol{protocol}", pickle)
        put("torch_save", f"protocol{protocol}", pickle + b"PK" + storage)
    put("torch_save", "file", torch_saved({"w": torch.ones(2)}))
    put("zip", "torch", torch_saved({"w": torch.ones(2)}))
    scripted = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Sequential(module, torch.nn.BatchNorm1d(2))), scripted)
    put("torch_save", "torch_script", scripted.getvalue())
    with zipfile.ZipFile(scripted) as opened:
        code = b"".join(opened.read(name) for name in sorted(opened.namelist()) if name.endswith(".py"))
        pickle = next(opened.read(name) for name in opened.namelist() if name.endswith("data.pkl"))
        put("torch_script", "modules", code + b"\nPK" + pickle)


def json_files() -> None:
    map_of_two = {"a.weight": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    put("shard_index", "index", json.dumps({"metadata": {"total_size": 8}, "weight_map": map_of_two}).encode())
    put("shard_index", "upwards", json.dumps({"weight_map": {"a": "../model.safetensors"}}).encode())
    adapter = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "alpha_pattern": {"^model.q_proj": 4, "v_proj": 2.5},
        "use_rslora": True,
        "fan_in_fan_out": False,
        "init_lora_weights": "gaussian",
        "layer_replication": None,
    }
    put("shard_index", "adapter", json.dumps(adapter).encode())


def entry_of(name: str) -> zipfile.ZipInfo:
    """Of a fixed time, so that the same files are written again."""
    return zipfile.ZipInfo(name)


def zip_files() -> None:
    for name, method in {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr(entry_of("a/b"), b"abc" * 9, method)
            archive.writestr(entry_of("a/c"), b"", method)
            with archive.open(entry_of("a/large"), "w", force_zip64=True) as entry:
                entry.write(b"zip64")
        put("zip", name, stream.getvalue())

    class Pipe(io.RawIOBase):
        """What cannot seek gets sizes and sums after the data."""

        def __init__(self):
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr(entry_of("a/b"), b"abc")
    put("zip", "streamed", pipe.content)
    put("zip", "empty", b"PK\5\6" + bytes(18))


def data_files() -> None:
    arrays = {
        "float32": numpy.ones((2, 3), numpy.float32),
        "scalar": numpy.array(3, numpy.int64),
        "bools": numpy.array([True, False]),
        "big_endian": numpy.array([1], ">i4"),
        "fortran": numpy.asfortranarray(numpy.ones((2, 2))),
        "records": numpy.zeros(1, [("a", "<i4"), ("b", "<f4")]),
        "texts": numpy.array(["ab"]),
        "objects": numpy.array([None], object),
    }
    for name, array in arrays.items():
        stream = io.BytesIO()
        numpy.save(stream, array)
        put("numpy", name, stream.getvalue())
    stream = io.BytesIO()
    numpy.lib.format.write_array(stream, arrays["float32"], version=(3, 0))
    put("numpy", "version3", stream.getvalue())
    stream = io.BytesIO()
    numpy.savez(stream, images=numpy.zeros((2, 3, 1, 1), numpy.uint8), labels=numpy.array([0, 1]))
    put("numpy", "archive", stream.getvalue())

    formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for name, kind in formats.items():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            long_name = "b/" * 40 + "c.cls" if kind == tarfile.USTAR_FORMAT else "b/" * 80 + "é.cls"
            for member, content in {"a.jpg": b"jpg", "a.cls": b"7", long_name: b""}.items():
                header = tarfile.TarInfo(member)
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        put("tar", name, stream.getvalue())

    put("manifest", "csv", b'\xef\xbb\xbfpath,label,split\r\n"a ""b"".jpg",cat,train\r\nc.jpg,"two\nlines",test\r\n')
    put("manifest", "short", b"label,path\n3,x.png\n\n4\n")
    put("manifest", "json", b'{"path": "a.jpg", "label": 3}\n{"path": "b\\u00e9.jpg", "label": "cat", "x": [1, {}]}\n')
    put("manifest", "elsewhere", b"path,label\r\nhttps://example.com/a%20b.jpg,1\r\n./a//../b.jpg,2\r\n/etc/x,3\r\n")

    rows = [{"input_ids": [1, 2, 3], "label": 1}, {"input_ids": [4], "label": 0}]
    put("json_rows", "texts", "\n".join(map(json.dumps, rows)).encode())
    rows = [{"a": 1, "x": [0.5], "name": "left out", "label": True}, {"a": 2.5, "x": [1, 2e300], "label": -7}]
    put("json_rows", "numbers", "\r\n\n".join(map(json.dumps, rows)).encode())
    rows = [{"x": [1], "split": "train"}, {"x": [], "split": "test"}, {"x": "text"}, {}]
    put("json_rows", "unlike", "\n".join(map(json.dumps, rows)).encode())
    put("json_rows", "beyond", b'{"x": [18446744073709551615, -9223372036854775808], "label": 1e999}\n')
    put("json_rows", "nested", b'{"x": [[1, 2], [3]], "a": {"b": [1]}, "\\u00e9": [1]}\n{"a": 1, "a": 2}\n')


def uris() -> None:
    seeds = {
        "https": "https://models.example.com/team/a%20b/model.safetensors\nhttps://models.example.com/team/",
        "port": "HTTP://Example.COM:80/a/../b\nhttp://example.com",
        "ipv6": "https://[2001:db8::1]:8443/x\nhttps://[2001:db8::1]:8443",
        "hub": "hf://datasets/owner/repository@main/folder/data.safetensors\nhf://datasets/owner/",
        "commit": "hf://o/r@0123456789abcdef0123456789abcdef01234567/model.pt\nhf://o/r@0123456789abcdef0123456789abcdef01234567/",
        "redirect": "https://cdn.example.com/x?X-Signature=abc&e=%2F#part\nhttps://cdn.example.com/",
        "user": "https://name:word@example.com/x\n",
        "dots": "https://example.com/%2e%2E/a/%252e%252e/b;x/..;/c\n",
        "encoded": "https://example.com/%5c%2f%00%C3%A9\n",
        "s3": "s3://bucket/sweep/a%20b.safetensors\ns3://bucket/sweep/",
        "gs": "gs://bucket.of/folder/\ngs://bucket.of",
        "az": "az://container/x//y\nabfs://container/x",
        "other": "s3://bucket/key?endpoint=x\nfile:///etc",
    }
    for name, text in seeds.items():
        put("uri", name, text.encode())


def http_fields() -> None:
    full = [
        "HTTP/1.1 206 Partial Content",
        "Content-Length: 100",
        "Content-Range: bytes 0-99/1000",
        'ETag: "abc"',
        "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT",
        "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT",
    ]
    put("http_fields", "full", "\r\n".join(full).encode())
    put("http_fields", "unsatisfied", b"content-range: bytes */1000\r\nretry-after: 120\r\netag: W/\"x\"")


def images() -> None:
    generator = numpy.random.default_rng(1)
    pixels = generator.integers(0, 255, (9, 11, 3), dtype=numpy.uint8)
    colour = Image.fromarray(pixels)

    def put_image(name: str, image: Image.Image, kind: str, **options) -> None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        put("image", name, stream.getvalue())

    for name, options in {"plain": {}, "progressive": {"progressive": True}, "subsampled": {"subsampling": 2}}.items():
        put_image(f"jpeg_{name}", colour, "JPEG", quality=60, **options)
    for mode in ("L", "CMYK"):
        put_image(f"jpeg_{mode}", colour.convert(mode), "JPEG")
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        put_image(f"png_{mode}", colour.convert(mode), "PNG")
    put_image("png_16", Image.fromarray(pixels[:, :, 0].astype(numpy.uint16) * 200), "PNG")
    put_image("webp_lossy", colour, "WEBP", quality=50)
    put_image("webp_lossless", colour.convert("RGBA"), "WEBP", lossless=True)
    put_image("webp_animated", colour, "WEBP", save_all=True, append_images=[colour.rotate(180)])


if __name__ == "__main__":
    safetensors()
    torch_files()
    json_files()
    data_files()
    zip_files()
    uris()
    http_fields()
    images()
    sizes = [file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()]
    print(json.dumps({"files": len(sizes), "bytes": sum(sizes), "largest": max(sizes)}))
