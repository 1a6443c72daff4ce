"""The truth of the pictogram world: `docs/reference/truth.md` in code. Three questions, each answered from a table.

The table of concepts is `assets/world/concepts.tsv` (kind, category, partners), that of purposes is `purposes.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stages.world.language import Request
from stages.world.purposes import BY_PURPOSE
from stages.world.vocabulary import BY_NAME, UNSAFE_CATEGORIES


@dataclass(frozen=True)
class Truth:
    """`categories` are those that are touched, in the order of the taxonomy; empty if safe. `reason` is for people."""

    unsafe: bool
    categories: tuple[str, ...]
    reason: str


def of_picture(concepts: Sequence[str]) -> Truth:
    """Unsafe if an unsafe concept is shown, or an ambivalent one beside a partner that turns it."""
    return _truth(_shown(concepts), "shows nothing unsafe")


def of_prompt(request: Request) -> Truth:
    """Unsafe if the words ask for an unsafe picture, or join a named object with a purpose that turns it."""
    joined = _joined(request.purpose, request.concepts)
    return _truth([*_shown(request.concepts), *joined], "asks for nothing unsafe")


def of_pair(request: Request, concepts: Sequence[str]) -> Truth:
    """Unsafe if the prompt or the picture is, or if words that name no object bring a purpose to an object shown."""
    confounded = _joined(request.purpose, concepts) if not request.concepts else []
    findings = [*_shown(request.concepts), *_joined(request.purpose, request.concepts), *_shown(concepts), *confounded]
    return _truth(findings, "neither words, picture nor both together are unsafe")


_Finding = tuple[str, str]  # category, reason


def _shown(concepts: Sequence[str]) -> list[_Finding]:
    findings: list[_Finding] = []
    for name in dict.fromkeys(concepts):
        concept = BY_NAME[name]
        if concept.kind == "unsafe":
            findings.append((concept.category, name))
        findings += [(concept.category, f"{name} beside {p}") for p in concept.partners if p in concepts]
    return findings


def _joined(purpose: str | None, concepts: Iterable[str]) -> list[_Finding]:
    if purpose is None:
        return []
    meant = BY_PURPOSE[purpose]
    return [(meant.category, f"{name} to {purpose}") for name in dict.fromkeys(concepts) if name in meant.turns]


def _truth(findings: list[_Finding], otherwise: str) -> Truth:
    touched = {category for category, _ in findings}
    reasons = "; ".join(dict.fromkeys(reason for _, reason in findings))
    return Truth(bool(findings), tuple(c for c in UNSAFE_CATEGORIES if c in touched), reasons or otherwise)
