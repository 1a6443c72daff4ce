"""The street is one way, and every plug-in keeps the contract, also the one that is written tomorrow."""

import ast
import importlib
import pickle
import pkgutil
from dataclasses import fields, is_dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest

import stages
from pipeline.stage import Stage
from schemas.sample import Sample

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "pipeline", "stages", "classifiers", "jobs")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "pipeline": {"schemas", "pipeline"},
    "stages": {"schemas", "pipeline", "stages", "classifiers.contract"},
    "classifiers": {"schemas", "classifiers"},
    "jobs": {"schemas", "pipeline", "stages", "classifiers", "jobs"},
}
MAY_IMPORT_RAY = {"pipeline/ray_cluster.py", "pipeline/ray_engine.py", "jobs/ray_trainer.py"}
SAMPLE_FIELDS = {field.name for field in fields(Sample)}


def imports_of(file: Path) -> set[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for file in sources(package):
        for name in imports_of(file):
            top = name.split(".")[0]
            if top in (*PACKAGES, "tests", "bench"):
                allowed = top in MAY_IMPORT[package] or name in MAY_IMPORT[package]
                assert allowed, f"{file.relative_to(ROOT)} imports {name}"


def test_only_the_ray_engine_and_the_trainers_launcher_import_ray() -> None:
    for package in PACKAGES:
        for file in sources(package):
            if any(name.split(".")[0] == "ray" for name in imports_of(file)):
                assert file.relative_to(ROOT).as_posix() in MAY_IMPORT_RAY


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "common", "helpers", "misc", "core", "base"}
    assert not [file for package in PACKAGES for file in sources(package) if file.stem in drawers]


def test_no_other_installed_distribution_owns_one_of_our_names() -> None:
    for distribution in distributions():
        if distribution.metadata["Name"] == "hazmat":
            continue
        tops = {Path(str(file)).parts[0] for file in distribution.files or () if str(file).endswith(".py")}
        assert not tops & {*PACKAGES}, f"{distribution.metadata['Name']} brings {tops & {*PACKAGES}}"


def stage_classes() -> list[type[Stage]]:
    """Every concrete Stage in the packages below `stages`."""
    found: list[type[Stage]] = []
    for module in pkgutil.walk_packages(stages.__path__, "stages."):
        for value in vars(importlib.import_module(module.name)).values():
            own = isinstance(value, type) and issubclass(value, Stage) and value.__module__ == module.name
            if own and not getattr(value, "__abstractmethods__", None):
                found.append(value)
    return found


@pytest.mark.parametrize("stage", stage_classes(), ids=lambda stage: stage.__name__)
def test_a_stage_is_frozen_keyword_only_picklable_by_name_and_says_what_it_needs(stage: type[Stage]) -> None:
    assert is_dataclass(stage) and stage.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.kw_only for field in fields(stage)), "a positional setting would be taken for batch_size"
    assert pickle.loads(pickle.dumps(stage)) is stage
    assert stage.needs | stage.adds <= SAMPLE_FIELDS
    assert stage.__doc__ and not stage.__doc__.startswith(f"{stage.__name__}("), "say what it does"


def test_a_file_with_stages_is_named_for_one_of_them() -> None:
    names: dict[str, set[str]] = {}
    for stage in stage_classes():
        snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in stage.__name__).lstrip("_")
        names.setdefault(stage.__module__.rsplit(".", 1)[-1], set()).add(snake)
    assert not [file for file, stages_in_it in names.items() if file not in stages_in_it]
