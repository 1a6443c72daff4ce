"""A page of docs/ whose tables are made from committed figures.

A table stands between two comments, the first of which names where it comes from:

    <!-- table: bench/pages/NAME.py TABLE, of bench/results/FILE.json -->
    <!-- end of table -->
"""

import importlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TABLE = re.compile(
    r"(<!-- table: bench/pages/(?P<module>\w+)\.py (?P<table>\w+), of bench/results/(?P<file>\w+)\.json -->\n)"
    r".*?(<!-- end of table -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """The pages that hold such a table."""
    return [page for page in sorted((ROOT / "docs").rglob("*.md")) if _TABLE.search(page.read_text())]


def made_again(text: str) -> str:
    """A page's text with its tables as the figures give them now. Raises KeyError for a table or figure that is not there."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{_table(match)}\n\n{match[5]}", text)


def _table(match: re.Match[str]) -> str:
    tables = importlib.import_module(f"bench.pages.{match['module']}").TABLES
    results = json.loads((ROOT / "bench" / "results" / f"{match['file']}.json").read_text())
    text: str = tables[match["table"]](results).markdown()
    return text
