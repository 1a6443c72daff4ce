"""May a training take the place of a finished one? Only where that is asked for."""

import json
from pathlib import Path

from schemas.errors import InputError


def refuse_to_replace(folder: Path) -> None:
    """Raises InputError where a finished classifier lies in `folder`, saying how good it was and what to do."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError):
        metrics = {}
    if not (folder / "config.json").is_file():
        return
    measured = metrics.get("test") or metrics.get("val") if isinstance(metrics, dict) else None
    facts = f" (measured {json.dumps(measured)})" if measured else ""
    raise InputError(
        f"{folder} holds a classifier of another training{facts}; give this one another --name (perspective.py: --out), "
        "or --replace"
    )
