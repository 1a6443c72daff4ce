"""A class whose code changed, or whose imports' code did, is another one; its comments are not its code."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from classifiers.evaluation.attack_suite import trials_of
from schemas import code_digest as digests
from schemas.code_digest import code_digest, modules_digest
from stages.attack.pixels.fgsm import Fgsm
from stages.attack.pixels.pgd import Pgd

BELOW = "STEP = 3\n\n\ndef step():\n    return STEP\n"
ABOVE = "from stages.below import step\n\n\nclass Attack:\n    def move(self):\n        return step()\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository of its own: an attack and what it imports."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/below.py").write_text(BELOW)
    (tmp_path / "stages/above.py").write_text(ABOVE)
    (tmp_path / "stages/beside.py").write_text("other = 1\n")
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    return tmp_path


def digest() -> str:
    modules_digest.cache_clear()
    return code_digest(type("Attack", (), {"__module__": "stages.above"}))


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        ("above.py", ABOVE.replace("return step()", "return step() + 1"), False),
        ("below.py", BELOW.replace("3", "4"), False),
        ("below.py", BELOW.replace("return STEP", "return -STEP"), False),
        ("above.py", ABOVE.replace("class Attack", "LIMIT = 1\n\n\nclass Attack"), False),
        ("above.py", "from stages.beside import other\n" + ABOVE, False),
        ("above.py", "# why\n\n" + ABOVE.replace("        return", "        # as in the paper\n        return"), True),
        ("beside.py", "other = 2\n", True),
    ],
)
def test_an_edit_is_seen_and_a_comment_is_not(tree: Path, file: str, text: str, same: bool) -> None:
    before = digest()
    (tree / "stages" / file).write_text(text)
    assert (digest() == before) == same


def test_unlike_attacks_have_unlike_code_and_a_trial_says_it() -> None:
    modules_digest.cache_clear()
    assert code_digest(Fgsm) != code_digest(Pgd)
    (trial,) = trials_of(["fgsm"], True, (1, 1))
    assert trial.settings()["code"] == code_digest(Fgsm)


def test_a_class_of_a_users_own_file_has_its_code_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = set()
    for number in (1, 2):
        (tmp_path / "my_attack.py").write_text(f"class Mine:\n    strength = {number}\n")
        sys.modules.pop("my_attack", None)
        modules_digest.cache_clear()
        sys.dont_write_bytecode = True
        seen.add(code_digest(import_module("my_attack").Mine))
    assert len(seen) == 2
