"""What runs hold, byte for byte, is what they held before the tree was moved (`data/golden/digests.json`, made by `golden.py`).

Plans and metadata are compared everywhere. Bytes are promised on one hardware and one set of versions (docs/promises.md, L1): on
another machine the rest of a test is skipped, and says what differs.
"""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support import golden

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KEPT = json.loads(golden.RECORDED.read_text())


def compare(kept: golden.Facts, found: golden.Facts, everywhere: Collection[str]) -> None:
    """Fails where they differ; skips once no more is promised here. The commands may have changed."""
    for name in everywhere:
        assert found[name] == kept[name], name
    if unlike := golden.unlike(KEPT["fingerprint"]):
        pytest.skip("plan and metadata are the same; bytes are not promised, recorded with " + "; ".join(unlike))
    assert {k: v for k, v in found.items() if k != "commands"} == {k: v for k, v in kept.items() if k != "commands"}


@pytest.mark.parametrize("part", golden.PARTS)
def test_runs_classifiers_and_results_are_what_they_always_were(part: str, tmp_path: Path) -> None:
    compare(KEPT["parts"][part], golden.part(part, tmp_path / "run"), golden.everywhere(part))


def test_every_recipe_that_needs_no_network_is_recorded() -> None:
    assert set(KEPT["parts"]) == set(golden.PARTS)
    recipes = [KEPT["parts"][recipe] for recipe in golden.GENERATE]
    assert all(set(facts) >= {"plan", "metadata", "pixels", "run", "shards"} for facts in recipes)
