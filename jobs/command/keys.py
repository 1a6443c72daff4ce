"""Lists of keys: what the web app takes out of a view, and commands take in."""

from pathlib import Path
from typing import Annotated

from typer import Option

from schemas.errors import InputError

KeysFile = Annotated[Path | None, Option(metavar="FILE", help="one key a line, as the web app exports a view's")]


def read_keys(path: Path) -> set[str]:
    """The keys of a file, empty lines and comments (#) apart. Raises InputError if there are none."""
    try:
        lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
        keys = {line for line in lines if line}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--keys {path}: {error}") from error
    if not keys:
        raise InputError(f"--keys {path}: there is no key in it; give one a line")
    return keys
