"""Names of plug-ins as `--help` lists them: read from the files, so that nothing heavy is imported."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LICENCE = re.compile(r"Licence of the weights:\s+(.+?)\.(?:\s|$)")
KINDS = {
    "labellers": ("stages/label", "Labeller"),
    "attacks": ("stages/attack", "AttackStage"),
    "classifiers": ("classifiers/models", "Classifier"),
    "benchmarks": ("stages/prompts", "PublishedPrompts"),
}
"""Folder, and the class that its plug-ins derive from."""


@cache
def plug_in_names(kind: str) -> tuple[str, ...]:
    """The files of the kind's folder that define a concrete class of it, sorted; as `schemas.plug_ins` finds by importing."""
    if kind == "recipes":
        return _recipe_names()
    folder, root = KINDS[kind]
    parents: dict[str, list[str]] = {}
    concrete: dict[str, list[str]] = {}
    for path in (*(ROOT / "classifiers/families").glob("*.py"), *(ROOT / folder).rglob("*.py")):
        for node in _classes(path):
            parents[node.name] = [base for base in map(_name, node.bases) if base]
            if not _abstract(node) and not _apart(node) and path.is_relative_to(ROOT / folder):
                concrete.setdefault(path.stem, []).append(node.name)
    return tuple(
        sorted(stem for stem, names in concrete.items() if any(_derives(name, root, parents) for name in names))
    )


@cache
def listed(kind: str) -> tuple[str, ...]:
    """The names as `--help` lists them: of a recipe that draws with published weights their licence, and that it is restricted."""
    if kind != "recipes":
        return plug_in_names(kind)
    licences = {node.name: LICENCE.search(ast.get_docstring(node) or "") for node in _recipes()}
    return tuple(
        name if (licence := licences[name]) is None else f"{name} ({licence[1]}; --restricted)"
        for name in plug_in_names(kind)
    )


def _recipe_names() -> tuple[str, ...]:
    return tuple(sorted(node.name for node in _recipes()))


def _recipes() -> tuple[ast.FunctionDef, ...]:
    """The functions of the run's facts alone that give a recipe; as `jobs.recipes.named` finds by importing."""
    return tuple(
        node
        for path in (ROOT / "jobs/recipes").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and path.stem != "named" and not node.name.startswith("_")
        if ast.unparse(node.args) == "config: RunConfig" and node.returns and ast.unparse(node.returns) == "Recipe"
    )


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))


def _name(base: ast.expr) -> str | None:
    base = base.value if isinstance(base, ast.Subscript) else base
    return base.id if isinstance(base, ast.Name) else None


def _abstract(node: ast.ClassDef) -> bool:
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return any(
        isinstance(mark, ast.Name) and mark.id == "abstractmethod" for f in functions for mark in f.decorator_list
    )


def _apart(node: ast.ClassDef) -> bool:
    """Whether it is a classifier that is not trained on a run: `trained_apart: ClassVar[bool] = True`."""
    settings = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    return any(ast.unparse(part).startswith("trained_apart: ") and "= True" in ast.unparse(part) for part in settings)


def _derives(name: str, root: str, parents: dict[str, list[str]]) -> bool:
    return any(base == root or _derives(base, root, parents) for base in parents.get(name, ()))
