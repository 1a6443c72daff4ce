"""Nothing that Hazmat needs spreads its licence to those who build on Hazmat; what is optional says so."""

import re
from importlib.metadata import Distribution, distribution

import pytest
from packaging.requirements import Requirement

SPREADS = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)
LESSER = re.compile(
    r"LGPL|GNU Lesser General Public|Library or Lesser|with (GCC|Classpath)[\w -]*exception", re.IGNORECASE
)


def licences(one: Distribution) -> list[str]:
    """All that a distribution says of its licence, but for whole texts."""
    about = one.metadata
    named = [*about.get_all("License-Expression", []), *about.get_all("License", [])]
    classified = [each for each in about.get_all("Classifier", []) if each.startswith("License ::")]
    return [text for text in (*named, *classified) if len(text) < 300]


def needed(name: str, extra: str = "", seen: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """A distribution and all that it needs, each once."""
    seen = {} if seen is None else seen
    if name in seen:
        return seen
    seen[name] = one = distribution(name)
    for text in one.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            needed(requirement.name.lower().replace("_", "-"), seen=seen)
    return seen


def spreading(names: dict[str, Distribution]) -> dict[str, list[str]]:
    """Those of which every licence that they name spreads."""
    said = {name: licences(one) for name, one in names.items()}
    return {name: texts for name, texts in said.items() if texts and all(_spreads(text) for text in texts)}


def _spreads(text: str) -> bool:
    choices = re.split(r"\bOR\b|/", LESSER.sub("", text))  # who gives a choice spreads only if each of it does
    return all(SPREADS.search(choice) for choice in choices)


def test_the_core_spreads_nothing() -> None:
    core = needed("hazmat")
    assert len(core) > 40, "the walk has not reached what Hazmat needs"
    assert not spreading(core)


@pytest.mark.parametrize(
    ("text", "spreads"),
    [
        ("GPL-3.0-or-later", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("LGPL-2.1-or-later", False),
        ("MIT OR GPL-2.0-only", False),
        ("Apache-2.0", False),
    ],
)
def test_a_licence_that_spreads_is_told_from_one_that_does_not(text: str, spreads: bool) -> None:
    assert _spreads(text) is spreads
