"""What code a class is: a digest of its source and of all of this repository that it imports."""

import ast
import sys
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OWN = ("schemas", "pipeline", "stages", "classifiers")


def code_digest(kind: type) -> str:
    """blake2b over the syntax trees, sorted by module: comments and layout change nothing, any other edit does."""
    return modules_digest(tuple(base.__module__ for base in kind.__mro__ if base.__module__ not in ("builtins", "abc")))


@lru_cache
def modules_digest(modules: tuple[str, ...]) -> str:
    """Of these modules, and of what they import of this repository."""
    hasher = blake2b(digest_size=16)
    for name, (_, tree) in sorted(_closure(modules).items()):
        hasher.update(f"{name}\0{ast.dump(tree)}\n".encode())
    return hasher.hexdigest()


def source_files(modules: tuple[str, ...]) -> dict[str, Path]:
    """The files of these modules, of what they import of this repository, and of the packages that hold them, by module."""
    files = {name: file for name, (file, _) in _closure(modules).items() if file is not None}
    packages = {".".join(name.split(".")[:depth]) for name in files for depth in range(1, name.count(".") + 1)}
    return files | {name: file for name in packages if (file := _source(name)) is not None}


def _closure(modules: tuple[str, ...]) -> dict[str, tuple[Path | None, ast.Module]]:
    waiting = list(modules)
    visited: dict[str, tuple[Path | None, ast.Module]] = {}
    while waiting:
        name = waiting.pop()
        if name in visited or not (name.split(".")[0] in OWN or name in modules):
            continue
        file = _source(name)
        tree = ast.Module([], []) if file is None else ast.parse(file.read_text(encoding="utf-8"))
        visited[name] = file, tree
        waiting += _imported(tree)
    return visited


def _imported(tree: ast.Module) -> list[str]:
    """Every module that is named, also `name` of `from package import name`, which may be one."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _source(name: str) -> Path | None:
    """The file of a module, which is not imported for it; None for what is none."""
    place = ROOT.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if name.split(".")[0] in OWN and path.is_file():
            return path
    file = getattr(sys.modules.get(name), "__file__", None)  # a user's own class
    return Path(file) if file else None
