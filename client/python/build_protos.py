"""Makes stockpot/v1/*_pb2.py and their types from the API's .proto files while a wheel is built (hatchling's hook).

The protos are ../../proto of the repository, or the copy in a source distribution. An editable install gets them in
src/stockpot/v1, which git ignores.
"""

import pathlib
import shutil
import tempfile
from importlib import resources
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = pathlib.Path(self.root)
        self._scratch = tempfile.mkdtemp(prefix="stockpot_protos_")
        editable = version == "editable"
        out = root / "src" if editable else pathlib.Path(self._scratch)
        generate(next(p for p in [root / "proto", root / "../../proto"] if p.is_dir()), out)
        if not editable:
            build_data["force_include"][str(out / "stockpot" / "v1")] = "stockpot/v1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


def generate(protos: pathlib.Path, out: pathlib.Path) -> None:
    """Writes out/stockpot/v1: messages alone, since the client calls methods by their paths."""
    import google.api.field_behavior_pb2 as google_api  # googleapis-common-protos, which has the .proto files too
    from grpc_tools import protoc

    google_root = pathlib.Path(google_api.__file__).parents[2]
    well_known = resources.files("grpc_tools") / "_proto"
    sources = sorted(str(file.relative_to(protos)) for file in (protos / "stockpot" / "v1").glob("*.proto"))
    out.mkdir(parents=True, exist_ok=True)
    arguments = [f"--proto_path={protos}", f"--proto_path={google_root}", f"--proto_path={well_known}"]
    arguments += [f"--python_out={out}", f"--pyi_out={out}", *sources]
    if protoc.main(["protoc", *arguments]) != 0:
        raise RuntimeError("the protobuf compiler failed: see above")
    (out / "stockpot" / "v1" / "__init__.py").write_text('"""The messages of the API (proto/stockpot/v1)."""\n')
