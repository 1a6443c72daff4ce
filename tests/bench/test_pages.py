"""Tables of docs/ are what the committed figures give."""

import re

import pytest

from bench.pages.markdown import PageTable, number
from bench.pages.page import ROOT, made_again, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_table_is_what_the_figures_give(page):
    assert made_again(page.read_text()) == page.read_text(), "`make docs` makes it anew"


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "results").glob("*.md")), ids=lambda page: page.stem)
def test_a_figure_with_an_interval_stands_in_a_made_table_only(page):
    by_hand = re.sub(r"<!-- table: .*?<!-- end of table -->", "", page.read_text(), flags=re.DOTALL)
    lines = [
        line for line in by_hand.splitlines() if line.startswith("|") and re.search(r"\d\.\d+ \(−?\d\.\d+ – ", line)
    ]
    assert not lines


def test_a_changed_figure_changes_the_page():
    page = next(page for page in pages() if page.stem == "world")
    text = page.read_text()
    assert made_again(text.replace("| `tagger_single` | 0.986 |", "| `tagger_single` | 0.999 |")) == text


def test_a_row_too_short_is_refused():
    with pytest.raises(ValueError, match="not as wide"):
        PageTable(("a", "b"), [["1"]]).markdown()


def test_a_number_has_a_minus_and_no_negative_zero():
    assert number(-0.1234) == "−0.123"
    assert number(-0.0001) == "0.000"
