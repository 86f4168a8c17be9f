"""The Helm chart as the real helm renders it, and its pods' files as kubelet would lay them out, on this machine."""
import functools
import os
import pathlib
import re
import unittest

import yaml

from tools import DEPLOY, ENVIRONMENT, program, run

CHART = DEPLOY / "kubernetes/stockpot"
VALUES = {path.stem: path for path in sorted((pathlib.Path(__file__).parent / "values").glob("*.yaml"))}
KUBERNETES = ("1.30.0", "1.37.0")  # the oldest that Chart.yaml allows, the newest known
NAME = "soup-stockpot"


@functools.cache
def render(values, *arguments):
    return run([program("helm"), "template", "soup", CHART, "--namespace", "ml", "--values", VALUES[values], *arguments])


@functools.cache
def objects(values, *arguments):
    """(kind, name) -> manifest."""
    rendered = render(values, *arguments)
    if rendered.returncode != 0:
        raise AssertionError(rendered.stderr)
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(rendered.stdout) if item}


def pod(values):
    return objects(values)["StatefulSet", NAME]["spec"]["template"]["spec"]


def config(values):
    return objects(values)["ConfigMap", NAME]["data"]["stockpotd.yaml"]


def validate(manifests, version):
    where = f"{ENVIRONMENT}/schemas/"
    for schema in ("grpcroute-gateway.networking.k8s.io-v1", "certificate-cert-manager.io-v1",
                   "scaledobject-keda.sh-v1alpha1"):
        if not pathlib.Path(f"{where}{schema}.json").exists():
            raise unittest.SkipTest(f"there is no schema {schema}: deploy/install-dependencies --deploy-checks makes it where Go is")
    return run([program("kubeconform"), "-strict", "-summary", "-verbose", "-kubernetes-version", version,
                "-schema-location", where + "{{.NormalizedKubernetesVersion}}-standalone-strict/{{.ResourceKind}}{{.KindSuffix}}.json",
                "-schema-location", where + "{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json", "-"], input=manifests)


def of_each(test):
    """The test, of each set of values."""
    @functools.wraps(test)
    def of_all(self):
        for values in VALUES:
            with self.subTest(values=values):
                test(self, values)
    return of_all


def here(text, folder):
    """The text, its paths in the container those below `folder`."""
    return re.sub(r"(?<![\w./])/(etc/stockpot|var/lib/stockpot|data|scratch)\b", rf"{folder}/\1", text)


def mount(spec, secrets, folder):
    """The pod's projected Secrets, below `folder` as kubelet writes them: behind a link that is changed in one step, so
    that calling it again is what a changed Secret looks like. `secrets`: name -> key -> text."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for place in spec["containers"][0].get("volumeMounts", []):
        if "projected" not in volumes.get(place["name"], {}):
            continue
        target = pathlib.Path(f"{folder}{place['mountPath']}")
        target.mkdir(parents=True, exist_ok=True)
        version = target / f"..{len(list(target.glob('..[0-9]*')))}"
        version.mkdir()
        for source in volumes[place["name"]]["projected"]["sources"]:
            for item in source["secret"]["items"]:
                (version / item["path"]).write_text(secrets[source["secret"]["name"]][item["key"]])
                if not (target / item["path"]).is_symlink():
                    (target / item["path"]).symlink_to(f"..data/{item['path']}")
        (target / "..data_tmp").symlink_to(version.name)
        os.rename(target / "..data_tmp", target / "..data")
