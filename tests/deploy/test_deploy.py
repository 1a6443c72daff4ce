"""What deploy/ holds is what those who read it accept: KubeRay, Kubernetes, Ray Serve, docker and our own command lines."""

import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from schemas.errors import InputError
from tests.support.commands import parsed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
INTEGRATIONS = Path(sys.prefix) / "integrations"
KUBERAY = json.loads((Path(__file__).parent / "kuberay.schema.json").read_text())
KUBERNETES = "1.34"
MANIFESTS = [
    (file.name, each) for file in sorted(DEPLOY.glob("*.yaml")) for each in yaml.safe_load_all(file.read_text())
]
RAY = {manifest["kind"]: manifest for _, manifest in MANIFESTS if manifest["apiVersion"] == "ray.io/v1"}


def cluster_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"].get("rayClusterSpec") or manifest["spec"]["rayClusterConfig"]


def groups(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster_of(manifest)["headGroupSpec"], *cluster_of(manifest)["workerGroupSpecs"]]


@pytest.fixture(scope="module")
def kubernetes() -> Iterator[Any]:
    """The package that holds Kubernetes' schemas."""
    if not (INTEGRATIONS / "kubernetes_validate").exists():
        pytest.skip("kubernetes-validate is not installed; make setup puts it into .venv/integrations")
    sys.path.append(str(INTEGRATIONS))
    yield importlib.import_module("kubernetes_validate")
    sys.path.remove(str(INTEGRATIONS))


def checked(manifest: dict[str, Any], kubernetes: Any) -> None:
    """Raises what the schemas say of a manifest."""
    if manifest["apiVersion"] != "ray.io/v1":
        kubernetes.validate(manifest, KUBERNETES, strict=True)
        return
    schema = {"$ref": f"#/$defs/{manifest['kind']}", "$defs": KUBERAY["$defs"]}
    jsonschema.validate(manifest["spec"], schema)
    for group in groups(manifest):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group["template"]}
        kubernetes.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("file, manifest", MANIFESTS)
def test_manifests_have_the_fields_that_kuberay_and_kubernetes_know(
    file: str, manifest: dict[str, Any], kubernetes: Any
) -> None:
    checked(manifest, kubernetes)


def test_a_misspelt_field_is_found_at_every_depth(kubernetes: Any) -> None:
    for path in (
        ["entrypoints"],
        ["rayClusterSpec", "headGroupSpecs"],
        ["rayClusterSpec", "headGroupSpec", "template", "spec", "volume"],
    ):
        job = json.loads(json.dumps(RAY["RayJob"]))
        place = job["spec"]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = {}
        with pytest.raises(jsonschema.ValidationError):
            checked(job, kubernetes)


def test_the_job_s_command_and_the_image_s_are_ones_that_our_command_lines_take() -> None:
    [image] = re.findall(r"^CMD (\[.+\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for words in (shlex.split(RAY["RayJob"]["spec"]["entrypoint"])[1:], json.loads(image)):
        module = importlib.import_module("jobs." + Path(words[0]).stem)
        assert parsed(module, *words[1:]).config.out == "/runs/mine"


def test_ray_is_started_with_flags_and_a_version_that_it_has() -> None:
    import ray
    from ray.scripts.scripts import start

    flags = {name.lstrip("-") for option in start.params for name in option.opts}
    for manifest in RAY.values():
        assert cluster_of(manifest)["rayVersion"] == ray.__version__
        assert {name for group in groups(manifest) for name in group["rayStartParams"]} <= flags
        assert cluster_of(manifest)["authOptions"] == {"mode": "token"}, "Ray's ports are guarded"


def test_ray_serve_takes_the_configuration_and_its_application_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema(**yaml.safe_load(RAY["RayService"]["spec"]["serveConfigV2"]))
    [told] = config.applications
    module, _, name = told.import_path.partition(":")
    make = getattr(importlib.import_module(module), name)
    [variable] = groups(RAY["RayService"])[0]["template"]["spec"]["containers"][0]["env"]
    monkeypatch.delenv(variable["name"], raising=False)
    with pytest.raises(InputError, match=variable["name"]):
        make(told.args)
    monkeypatch.setenv(variable["name"], "key")
    made = make(told.args)
    assert [made._bound_deployment.name] == [each.name for each in told.deployments]
    assert make({"models": "a, b", "generator": "assets/world/t2i"})
    for wrong in ({}, {"models": "a", "policy": "x"}):
        with pytest.raises(InputError, match="models"):
            make(wrong)


def test_what_a_pod_mounts_is_a_volume_that_it_has() -> None:
    claims = {manifest["metadata"]["name"] for _, manifest in MANIFESTS if manifest["kind"] == "PersistentVolumeClaim"}
    for manifest in RAY.values():
        for group in groups(manifest):
            pod = group["template"]["spec"]
            assert {each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"]} <= claims
            mounted = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
            assert mounted <= {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize("linter, file", [("hadolint", "Dockerfile"), ("shellcheck", "slurm.sh")])
def test_linters_find_nothing(linter: str, file: str) -> None:
    program = INTEGRATIONS / "bin" / linter
    if not program.exists():
        pytest.skip(f"{linter} is not installed; make setup puts it into .venv/integrations")
    ran = subprocess.run([program, DEPLOY / file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and not ran.stdout, ran.stdout + ran.stderr
    broken = (DEPLOY / file).read_text().replace("esac", "esca")
    assert subprocess.run([program, "-"], input=broken, capture_output=True, text=True, check=False).returncode != 0


def test_the_image_is_made_of_what_the_checkout_has() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in line.split()]
    assert len(copied) > 5 and all((ROOT / word).exists() for word in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [extras] = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert {*extras.split(","), "gpu"} <= project["optional-dependencies"].keys()
    [torch] = [each for each in project["dependencies"] if each.startswith("torch=")]
    assert set(re.findall(r"torch=(torch==[\d.]+)", text)) == {torch}
