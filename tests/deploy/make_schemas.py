"""make_schemas.py FOLDER [DEFINITION.yaml…]: the JSON schemas that kubeconform validates by, in its own layout: out of
Python packages or, with files, of the custom resource definitions in them.

Kubernetes' come with kubernetes-validate, where they refer to each other by addresses; here by file names. The Prometheus
operator's ServiceMonitor is of its Python models. Custom resources are made strict as the others are: a field that nobody
knows is an error.
"""
import importlib.util
import json
import pathlib
import sys

import yaml
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

VERSIONS = ("1.30.0", "1.37.0")  # the oldest that Chart.yaml allows, the newest known


def walk(schema):
    yield schema
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from walk(value)


def kubernetes(path):
    schema = json.loads(path.read_text())
    schema.pop("$id", None)
    for part in walk(schema):
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            part["$ref"] = part["$ref"].replace("/api/_definitions.json", "_definitions.json")
    return schema


def strict(schema):
    for part in walk(schema):
        if isinstance(part, dict) and isinstance(part.get("properties"), dict):
            part.setdefault("additionalProperties", False)
    return schema


def resources(path):
    """(file's name, schema) of the versions that the API server serves."""
    definition = yaml.safe_load(path.read_text())["spec"]
    for version in definition["versions"]:
        if version["served"]:
            name = f"{definition['names']['singular']}-{definition['group']}-{version['name']}.json"
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object"}
            yield name, strict(schema)


def main():
    target = pathlib.Path(sys.argv[1])
    if sys.argv[2:]:
        for path in sys.argv[2:]:
            for name, schema in resources(pathlib.Path(path)):
                (target / name).write_text(json.dumps(schema))
        return
    source = pathlib.Path(importlib.util.find_spec("kubernetes_validate").origin).parent / "kubernetes-json-schema"
    for version in VERSIONS:
        folder = target / f"v{version}-standalone-strict"
        folder.mkdir(parents=True)
        for path in (source / f"v{version}-local-strict").glob("*.json"):
            (folder / path.name).write_text(json.dumps(kubernetes(path)))
    (target / "servicemonitor-monitoring.coreos.com-v1.json").write_text(json.dumps(strict(ServiceMonitor.model_json_schema(by_alias=True))))


if __name__ == "__main__":
    main()
