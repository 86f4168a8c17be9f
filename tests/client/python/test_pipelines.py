"""The steps of deploy/pipelines as their runners run them: the same arguments and scripts, against the real server."""

import json
import os
import pathlib
import runpy
import subprocess
import sys
from typing import Any

import pytest
import yaml

from support import Server, Sweep
from test_step import write_job

PIPELINES = pathlib.Path(__file__).parents[3] / "deploy" / "pipelines"


@pytest.fixture
def environment(server: Server, tmp_path: pathlib.Path) -> dict[str, str]:
    """With the programs of the package, as the image has them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "stockpot-step").write_text(f'#!/bin/sh\nexec {sys.executable} -m stockpot step "$@"\n')
    (programs / "stockpot-step").chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "STOCKPOT_SERVER": server.address}


def filled(text: str, values: dict[str, str], folder: pathlib.Path) -> str:
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text.replace("/tmp/outputs", str(folder / "outputs")).replace("/work/", f"{folder}/")


@pytest.mark.parametrize("name", ["soup", "inputs"])
def test_argo(server: Server, sweep: Sweep, folder: pathlib.Path, environment: dict[str, str], name: str) -> None:
    document = yaml.safe_load((PIPELINES / "argo_workflow_template.yaml").read_text())
    template: dict[str, Any] = next(each for each in document["spec"]["templates"] if each["name"] == name)
    values = {
        f"workflow.parameters.{each['name']}": each["value"] for each in document["spec"]["arguments"]["parameters"]
    }
    values |= {f"inputs.parameters.{each['name']}": each.get("value", "") for each in template["inputs"]["parameters"]}
    values["workflow.uid"] = f"uid-{name}"
    write_job(sweep, folder / "job.yaml")  # as the artifact of `raw` data is put there
    container = template["container"]
    command = [filled(word, values, folder) for word in container["command"] + container["args"]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outputs = template["outputs"]
    read = {each["name"]: each["valueFrom"]["path"] for each in outputs["parameters"]}
    read |= {each["name"]: each["path"] for each in outputs.get("artifacts", [])}
    for output, path in read.items():
        found = pathlib.Path(filled(path, values, folder))
        assert found.read_text().strip(), output
    assert len(done.stdout.splitlines()) == 1 and json.loads(done.stdout)


def test_kubeflow(server: Server, sweep: Sweep, folder: pathlib.Path, environment: dict[str, str]) -> None:
    component = yaml.safe_load((PIPELINES / "kubeflow_component.yaml").read_text())
    container = component["deploymentSpec"]["executors"]["exec-soup"]["container"]
    job = write_job(sweep, folder / "job.yaml", ingredients=[{"uri": str(each)} for each in sweep.ingredients])
    document = yaml.safe_load(job.read_text())
    document["evaluation"]["held_out"]["uri"] = str(sweep.held_out)
    values = {
        "job": yaml.safe_dump(document),
        "server": server.address,
        "request_id": "kfp-1-soup",
        "inputs_sha256": "",
    }
    paths = {
        name: folder / "kfp" / name / "data" for name in ["soup_uri", "soup_sha256", "scores", "metrics", "report"]
    }

    def argument(word: str) -> str:
        word = word.removeprefix("{{$.").removesuffix("}}")
        kind, _, rest = word.partition("[")
        name = rest.partition("]")[0].strip("'")
        return values[name] if kind == "inputs.parameters" else str(paths[name])

    command = container["command"] + [argument(word) for word in container["args"]]
    script = command[2].replace("/tmp/work", str(folder / "work"))
    for expected_code, more in [(0, {}), (2, {"inputs_sha256": "0" * 64})]:
        values |= more
        command = [*command[:2], script, command[3], *[argument(word) for word in container["args"]]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == expected_code, done.stderr
        if expected_code == 0:
            assert set(json.loads(paths["scores"].read_text())) == {"held_out", "test"}
            assert len(paths["soup_sha256"].read_text()) == 64 and "<!doctype html>" in paths["report"].read_text()


def test_the_kubeflow_component_is_what_kfp_compiles(tmp_path: pathlib.Path) -> None:
    kfp = pytest.importorskip("kfp")
    soup = runpy.run_path(str(PIPELINES / "kubeflow_component.py"))["soup"]
    kfp.compiler.Compiler().compile(soup, str(tmp_path / "component.yaml"))
    compiled, kept = (
        yaml.safe_load(path.read_text())
        for path in (tmp_path / "component.yaml", PIPELINES / "kubeflow_component.yaml")
    )
    compiled["sdkVersion"] = kept["sdkVersion"]
    assert compiled == kept
    loaded = kfp.components.load_component_from_file(str(PIPELINES / "kubeflow_component.yaml"))

    @kfp.dsl.pipeline
    def pipeline(job: str, inputs_sha256: str) -> None:
        made = loaded(
            job=job,
            server="stockpot:8433",
            request_id=f"{kfp.dsl.PIPELINE_JOB_ID_PLACEHOLDER}-soup",
            inputs_sha256=inputs_sha256,
        )
        made.set_retry(num_retries=20, backoff_duration="30s", backoff_factor=2)

    kfp.compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    assert "retryPolicy" in (tmp_path / "pipeline.yaml").read_text()
