"""The list of faults fits the code as it is: each names one place, and tests that are there."""

import pytest

from bench.mutate.__main__ import ROOT, Mutation, mutations
from schemas.errors import InputError

ALL = list(mutations())


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: f"{fault.file}: {fault.new or fault.old}"[:80])
def test_every_fault_stands_in_the_code_once_and_changes_it(fault: Mutation) -> None:
    text = (ROOT / fault.file).read_text()
    assert fault.applied(text) != text
    assert all((ROOT / test.partition("::")[0]).is_file() for test in fault.tests)


def test_there_are_forty_or_more_over_all_that_the_figures_hang_on() -> None:
    assert len(ALL) >= 40 and len({(fault.file, fault.old) for fault in ALL}) == len(ALL)
    parts = ("stages/attack", "classifiers/evaluation", "cascade.py", "splits.py", "gate.py")
    assert all(any(part in fault.file for fault in ALL) for part in parts)


def test_a_place_that_is_gone_is_an_error() -> None:
    with pytest.raises(InputError, match="0 times"):
        Mutation("x.py", "old", "new", ()).applied("text")
