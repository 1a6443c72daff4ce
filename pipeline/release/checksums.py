"""`SHA256SUMS`: every other file of a release with its digest, as `sha256sum --check` reads it."""

import re
from hashlib import file_digest, sha256
from pathlib import Path

from schemas.control_file import inside
from schemas.errors import HazmatError, InputError

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_checksums(folder: Path) -> str:
    """Write it for all that is in `folder`; the digest of the list is the digest of the release."""
    lines = [f"{digest_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files_of(folder)]
    text = "".join(lines).encode()
    (folder / NAME).write_bytes(text)
    return sha256(text).hexdigest()


def files_of(folder: Path) -> list[Path]:
    """The files that are listed, sorted; not the list itself, nor what a hub's client keeps beside them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if p.relative_to(folder).parts[0] not in (NAME, ".cache", ".git", ".gitattributes"))


def digest_of(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def read_checksums(folder: Path) -> dict[str, str]:
    """Digest by name. Raises InputError where there is no list, or it is none."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: there is no readable {NAME}; give a folder that jobs/publish.py made") from error
    checksums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or not inside(match[2]):
            raise InputError(f"{folder}/{NAME}:{number}: expected a sha256, two spaces and a name within the folder")
        checksums[match[2]] = match[1]
    return checksums


def check_checksums(folder: Path) -> str:
    """Hash every file again; the digest of the release. Raises HazmatError that names the first files that differ."""
    listed = read_checksums(folder)
    here = {path.relative_to(folder).as_posix(): digest_of(path) for path in files_of(folder)}
    wrong = [f"{name} is not there" for name in sorted(listed.keys() - here.keys())]
    wrong += [f"{name} is not listed" for name in sorted(here.keys() - listed.keys())]
    wrong += [f"{name} has changed" for name in sorted(listed) if name in here and here[name] != listed[name]]
    if wrong:
        raise HazmatError(f"{folder} is not what {NAME} says: {'; '.join(wrong[:5])}; fetch it again")
    return digest_of(folder / NAME)
