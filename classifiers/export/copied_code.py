"""The code that an exported folder needs beside its weights, copied into it: readable, and digest for digest this repository's."""

import shutil
from pathlib import Path

from schemas.code_digest import ROOT, source_files

FOLDER = "code"
ASSETS = ("assets/taxonomy",)  # what the copied code reads when it is imported


def copy_code(modules: tuple[str, ...], folder: Path) -> list[str]:
    """The modules, and all of this repository that they import, into `folder`/code. Returns the modules copied."""
    sources = source_files(modules)
    for file in sources.values():
        target = folder / FOLDER / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for name in ASSETS:
        shutil.copytree(ROOT / name, folder / FOLDER / name, dirs_exist_ok=True)
    return sorted(sources)
