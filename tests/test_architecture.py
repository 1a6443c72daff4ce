"""The street is one way, and every plug-in keeps the contract, also the one that is written tomorrow."""

import ast
import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest

from pipeline.stage import Stage
from schemas.sample import Sample
from tests.support.plugins import stage_classes

ROOT = Path(__file__).parents[1]
FLOORS = ("schemas", "pipeline", "stages", "classifiers", "jobs", "bench")
"""The street: each may import what stands before it, and nothing behind it."""
PACKAGES = FLOORS[:-1]
MAY_IMPORT_RAY = {
    "pipeline/engines/ray_access.py",
    "pipeline/engines/ray_cluster.py",
    "pipeline/engines/ray_engine.py",
    "classifiers/training/ray_trainer.py",
    "classifiers/serving/ray_application.py",
    "classifiers/serving/ray_server.py",
}
DEPLOYED = ("layers", "families", "models", "vlm", "zoo", "classifier", "saved", "prediction")
"""Of `classifiers`: what serves needs no engine and no catalogue."""
LONGEST_FILE, LONGEST_FUNCTION = 250, 50  # lines
LONGEST_TEST_FILE = 300  # lines
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


def against_the_street(file: str, name: str) -> bool:
    """Whether the repository's `file` may not import the module `name`."""
    place, module = file.split("/"), [*name.split("."), ""]
    if module[0] not in FLOORS or place[0] not in FLOORS:
        return module[0] == "tests" and place[0] != "tests"
    if FLOORS.index(module[0]) > FLOORS.index(place[0]):
        return True
    if place[0] == "classifiers" and place[1].removesuffix(".py") in DEPLOYED:
        own = module[0] == "classifiers" and module[1] in (*DEPLOYED, "")
        return not (own or module[0] == "schemas" or name.startswith(("pipeline.storage", "pipeline.training")))
    if place[0] == module[0] == "jobs":
        return module[1] not in ("recipes", "command", "")
    return False


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_one_way(floor: str) -> None:
    for file in sources(floor):
        place = file.relative_to(ROOT).as_posix()
        for name in imports_of(file):
            assert not against_the_street(place, name), f"{place} imports {name}"


@pytest.mark.parametrize("lower", range(len(FLOORS)))
@pytest.mark.parametrize("upper", range(len(FLOORS)))
def test_the_rule_names_every_import_of_a_higher_floor(lower: int, upper: int) -> None:
    assert against_the_street(f"{FLOORS[lower]}/somewhere.py", f"{FLOORS[upper]}.recipes.x") == (upper > lower)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("jobs/train.py", "jobs.harden"),
        ("jobs/recipes/pictogram.py", "jobs.generate"),
        ("classifiers/models/text.py", "pipeline.catalogue.duck"),
        ("classifiers/saved.py", "classifiers.training.train"),
        ("classifiers/prediction.py", "stages.generate.diffusion"),
        ("pipeline/plan.py", "tests.support.runs"),
    ],
)
def test_the_rule_names_commands_of_commands_and_what_deployed_code_must_not_need(file: str, name: str) -> None:
    assert against_the_street(file, name)


def test_deployed_code_loads_neither_ray_nor_duckdb() -> None:
    script = (
        "import sys, classifiers.saved as saved; saved.classifier_names();"
        "print([name for name in ('ray', 'duckdb') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_only_the_ray_engine_and_the_trainers_launcher_import_ray() -> None:
    for package in PACKAGES:
        for file in sources(package):
            if any(name.split(".")[0] == "ray" for name in imports_of(file)):
                assert file.relative_to(ROOT).as_posix() in MAY_IMPORT_RAY


def test_pictures_are_decoded_in_one_place() -> None:
    """Whoever opens one elsewhere forgets its orientation, its profile or its second frame."""
    opening = {"Image.open", "imageio", "cv2", "simplejpeg", "read_image", "decode_image", "imread"}
    for floor in FLOORS:
        for file in sources(floor):
            named = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
            called = {
                ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            }
            if file.relative_to(ROOT).as_posix() != "pipeline/storage/image_codec.py":
                tops = {name.split(".")[0] for name in imports_of(file)}
                assert not opening & (named | called | tops), file


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "common", "helpers", "misc", "core", "base"}
    assert not [file for package in PACKAGES for file in sources(package) if file.stem in drawers]


def test_no_two_classes_bear_one_name() -> None:
    """A name is one thing: who reads `Batch` need not ask which. Commands, benches and examples count."""
    places: dict[str, list[str]] = {}
    for floor in (*FLOORS, "examples"):
        for file in sources(floor):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(file.relative_to(ROOT).as_posix())
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_files_and_functions_are_short() -> None:
    """Longer ones answer more than one question."""
    for floor in (*FLOORS, "examples"):
        for file in sources(floor):
            text = file.read_text()
            assert text.count("\n") <= LONGEST_FILE, file
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or 0) - node.lineno + 1
                    assert length <= LONGEST_FUNCTION, f"{file}: {node.name} has {length} lines"


def test_tests_are_cut_by_subject() -> None:
    assert not [file for file in sources("tests") if file.read_text().count("\n") > LONGEST_TEST_FILE]


def test_no_other_installed_distribution_owns_one_of_our_names() -> None:
    for distribution in distributions():
        if distribution.metadata["Name"] == "hazmat":
            continue
        tops = {Path(str(file)).parts[0] for file in distribution.files or () if str(file).endswith(".py")}
        assert not tops & {*PACKAGES}, f"{distribution.metadata['Name']} brings {tops & {*PACKAGES}}"


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
