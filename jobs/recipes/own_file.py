"""A recipe of the user's own: a function in a file anywhere, `FILE.py:FUNCTION`. The checkout is not touched."""

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from schemas.errors import InputError

_NAMED = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)")


@dataclass(frozen=True)
class OwnRecipe:
    """The `function` in `file`; `name` is how run.json records both."""

    file: Path
    function: str

    @classmethod
    def named(cls, recipe: str) -> Self | None:
        """What `FILE.py:FUNCTION` names, its path made whole; None for another form."""
        match = _NAMED.fullmatch(recipe)
        return None if match is None else cls(Path(match["file"]).resolve(), match["function"])

    @property
    def name(self) -> str:
        """`/whole/path/FILE.py:FUNCTION`."""
        return f"{self.file}:{self.function}"

    def digest(self) -> str:
        """sha256 of the file. Raises InputError where it cannot be read."""
        try:
            return sha256(self.file.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(
                f"--recipe {self.name}: {error.strerror or error}; the run needs this very file where it was"
            ) from error

    def load(self, recorded: str | None) -> Callable[[Any], object]:
        """The function. Raises InputError where the file is not the `recorded` one, cannot be imported, or has no such function."""
        actual = self.digest()
        if recorded is not None and recorded != actual:
            raise InputError(
                f"{self.file} has changed since the run was made (sha256 {recorded[:12]}…, now {actual[:12]}…). Put the old one "
                "back, or give the run's jobs/generate.py command again: it goes on if the plan is still the same, and records the "
                "file anew"
            )
        function = getattr(self._module(), self.function, None)
        if not callable(function):
            raise InputError(f"--recipe {self.name}: there is no function {self.function} in the file")
        return function  # type: ignore[no-any-return]

    def refuse_from(self, url: str) -> None:
        """Raise InputError if the file lies inside the run at `url`: who opens the run of somebody else must not run their code."""
        if self.file.is_relative_to(Path(url).resolve()):
            raise InputError(
                f"{url} names a recipe inside itself ({self.name}), and code that a run brings along is not called. Read the file, "
                "copy it to a place of yours, and make the run with that"
            )

    def _module(self) -> ModuleType:
        """Imported under the file's own name with its folder on the path, so that Ray's workers find the stages in it too."""
        folder = str(self.file.parent)
        if folder not in sys.path:
            sys.path.append(folder)  # at the end: a file there hides nothing of ours
        try:
            module = importlib.import_module(self.file.stem)
        except Exception as error:  # the user's code may raise anything
            raise InputError(f"--recipe {self.name}: importing it raised {type(error).__name__}: {error}") from error
        if module.__file__ is None or Path(module.__file__).resolve() != self.file:
            raise InputError(
                f"--recipe {self.name}: Python finds {module.__file__} under the name {self.file.stem}; give the file another name"
            )
        return module
