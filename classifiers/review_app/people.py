"""Who may come in, and what each may do: people with a role and a token, kept in a file that only its owner can read."""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.errors import InputError

RIGHTS: Mapping[str, frozenset[str]] = {
    "operator": frozenset({"gallery", "unmask", "export", "reviews", "audit"}),
    "annotator": frozenset({"vote"}),
    "adjudicator": frozenset({"vote"}),
    "auditor": frozenset({"gallery", "reviews", "audit"}),
}
"""By role. Annotators see no gallery: labels and others' votes would not leave them blind. Auditors see all of it masked."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class AppPerson:
    """Somebody who may come in."""

    name: str
    role: str
    token: str

    def may(self, right: str) -> bool:
        """Whether the role has that right."""
        return right in RIGHTS[self.role]


class AppPeople:
    """The people of one start of the app, found by what their browsers bring."""

    def __init__(self, people: Iterable[AppPerson], secret: str) -> None:
        self.people = tuple(people)
        self._secret = secret.encode()
        self._by_token = {_digest(person.token): person for person in self.people}
        self._by_session = {self.session_of(person): person for person in self.people}

    def by_token(self, token: str) -> AppPerson | None:
        """Who has this token. Looked up by digest, so that no comparison takes longer for a better guess."""
        return self._by_token.get(_digest(token))

    def by_session(self, cookie: str) -> AppPerson | None:
        """Who has this cookie."""
        return self._by_session.get(cookie)

    def session_of(self, person: AppPerson) -> str:
        """What the cookie holds: made of the token, which it does not give away, and the same after a restart."""
        return hmac.new(self._secret, person.token.encode(), "sha256").hexdigest()


def asked_people(text: str) -> dict[str, str]:
    """Roles by name of `anna=annotator,ben=annotator`. Raises InputError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, role = part.partition("=")
        if not NAME.fullmatch(name) or role not in RIGHTS:
            raise InputError(
                f"--people {part}: expected NAME=ROLE, a name of small letters and digits and one of {', '.join(RIGHTS)}"
            )
        if name in found:
            raise InputError(f"--people names {name} twice")
        found[name] = role
    if not found:
        raise InputError("--people names nobody; give NAME=ROLE,…")
    return found


def kept_people(file: Path, roles: Mapping[str, str]) -> AppPeople:
    """Those people with the tokens that the file has for them, or new ones, which it has from now on. Raises InputError."""
    try:
        said = json.loads(file.read_text()) if file.exists() else {}
        known = {person["name"]: AppPerson(**person) for person in said.get("people", [])}
        secret = str(said.get("secret") or secrets.token_hex(32))
        people = [_person(known, name, role) for name, role in roles.items()]
        all_known = {**known, **{person.name: person for person in people}}
        _write(file, {"secret": secret, "people": [asdict(person) for person in all_known.values()]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--token-file {file}: {str(error)[:200]}; delete it, or give another") from error
    return AppPeople(people, secret)


def _person(known: Mapping[str, AppPerson], name: str, role: str) -> AppPerson:
    """A role that changed takes a new token: the old one was given to somebody who had the other."""
    there = known.get(name)
    return there if there is not None and there.role == role else AppPerson(name, role, secrets.token_urlsafe(32))


def _write(file: Path, content: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as text:
        json.dump(content, text, indent=1)
    scratch.replace(file)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
