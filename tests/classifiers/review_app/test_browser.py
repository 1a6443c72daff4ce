"""A real browser: three people vote by keys, the server is killed meanwhile, nothing is lost, double, leaked or hard to use.

Debian's chromium, driven by playwright out of `.venv/integrations`, in a process of its own: beside those packages transformers
would find a torchvision that does not fit.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import verify
from pipeline.rounds.audit_log import entries
from tests.classifiers.review_app.test_review import until_committed
from tests.support.commands import call
from tests.support.served_app import ROOT, AppProcess, run_to_look_at
from tests.support.voters import DIFFERENT, ITEMS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
INTEGRATIONS = ROOT / ".venv" / "integrations"
SERIOUS = ("serious", "critical")

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or not (INTEGRATIONS / "playwright").is_dir(),
    reason="needs a chromium (apt install chromium) and playwright in .venv/integrations (make setup)",
)


def browse(*words: object) -> dict[str, object]:
    """What `tests.support.browsing` saw."""
    command = [sys.executable, str(ROOT / "tests" / "support" / "browsing.py"), str(CHROMIUM), *map(str, words)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@needs_browser
def test_people_vote_by_keys_in_a_browser_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    store = run_to_look_at(tmp_path / "run")
    server = AppProcess(tmp_path / "run", tmp_path / "app.tokens")
    port = server.start().port
    first = browse(port, tmp_path / "app.tokens", "begin", ITEMS)
    assert first["refused"] == 401 and first["console"] == []
    assert [fault for fault in first["faults"] if fault[0] in SERIOUS] == []  # type: ignore
    assert browse(port, tmp_path / "app.tokens", "vote", "anna", 8)["voted"] == 8
    server.kill()
    port = server.start().port
    assert browse(port, tmp_path / "app.tokens", "vote", "anna", ITEMS)["voted"] == ITEMS - 8
    seen = browse(port, tmp_path / "app.tokens", "vote", "ben", ITEMS)
    assert seen["voted"] == ITEMS and seen["leaked"] == []
    assert browse(port, tmp_path / "app.tokens", "vote", "carla", ITEMS)["voted"] == len(DIFFERENT)
    votes = until_committed(store, 2 * ITEMS + len(DIFFERENT))
    server.kill()
    assert len(votes) == len({(vote.key, vote.annotator) for vote in votes}) == 2 * ITEMS + len(DIFFERENT)
    assert len(list(entries(store))) >= 2 * ITEMS + len(DIFFERENT)
    assert call(verify, store.url) == 0


@pytest.mark.slow
@needs_browser
def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_a_telephone(tmp_path: Path) -> None:
    run_to_look_at(tmp_path / "run")
    server = AppProcess(tmp_path / "run", tmp_path / "app.tokens")
    port = server.start().port
    try:
        found = browse(port, tmp_path / "app.tokens", "look")
    finally:
        server.kill()
    assert found["console"] == [] and found["wide"] == []
    assert found["pages"] >= 8 and [fault for fault in found["faults"] if fault[1] in SERIOUS] == []  # type: ignore
