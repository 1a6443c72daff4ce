"""What was asked and what was answered, a line of JSON a row, so that another classifier can be asked the same (jobs/shadow.py).

Texts and pictures stand in it: it is written only where the operator asks for it, readable by its owner alone.
"""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from classifiers.serving.policies import KeyPolicy
from classifiers.serving.requests import Asked
from classifiers.serving.verdicts import ServedVerdict
from schemas.errors import InputError


class VerdictLog:
    """A file that rows are appended to. Raises InputError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            path.touch(mode=0o600, exist_ok=True)
            self.file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--log {path}: {error.strerror or error}; name a file that can be written to") from error

    def add(self, requests: Sequence[Asked], verdicts: Sequence[ServedVerdict], policy: KeyPolicy) -> None:
        """A line a row, and out of this process's memory at once."""
        for row, verdict in zip(requests, verdicts, strict=True):
            picture = None if row.picture is None else base64.b64encode(row.picture).decode()
            line = {"prompt": row.text, "picture": picture, "flagged": verdict.flagged, "unsafe": verdict.unsafe}
            self.file.write(json.dumps({"time": time.time(), "policy": policy.name, **line}) + "\n")
        self.file.flush()


def logged_rows(path: Path) -> Iterator[Asked]:
    """What was asked, in order. Raises InputError naming the line that is none."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row: dict[str, Any] = json.loads(line)
                picture = row["picture"]
                yield Asked(row["prompt"], None if picture is None else base64.b64decode(picture, validate=True))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}: no line of a server's log ({error!r})") from error
