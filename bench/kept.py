"""Figures on disk as they are found, so that a killed bench goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def kept(file: Path, mark: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What lies in the file, if it was made of the same (`mark`), else what `work` says, which then lies there."""
    if file.is_file() and (stored := json.loads(file.read_text())).get("mark") == mark:
        figures: dict[str, Any] = stored["figures"]
        return figures
    figures = work()
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"mark": mark, "figures": figures}))
    new.replace(file)
    return figures
