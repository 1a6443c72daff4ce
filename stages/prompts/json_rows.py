"""Rows out of a file with one JSON object a line."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.prompt import LeftOut
from stages.prompts.text_lines import open_lines

LOOKED_AT = 1000  # objects whose keys are the columns: any row may have keys of its own


def columns(path: Path) -> list[str]:
    """The keys of the first objects. Raises InputError where there are none, with what is wrong with the first line."""
    first = list(islice(objects(path), LOOKED_AT))
    names = list(dict.fromkeys(name for _, row in first if not isinstance(row, LeftOut) for name in row))
    if not names:
        wrong = [f"; line {number} is {row.where}" for number, row in first[:1] if isinstance(row, LeftOut)]
        raise InputError(
            f"{path.name} doesn't begin with a JSON object: .jsonl has one object on each line{''.join(wrong)}"
        )
    return names


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | LeftOut]]:
    """The line (from 1) and object of each line that isn't empty; or why it is none."""
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _object(line)


def _object(line: str) -> dict[str, Any] | LeftOut:
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except RecursionError:
        return LeftOut("undecodable", "JSON nested too deeply")
    except ValueError as error:
        return LeftOut("undecodable", f"no JSON ({str(error)[:120]})")
    return row if isinstance(row, dict) else LeftOut("undecodable", "JSON, but no object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row
