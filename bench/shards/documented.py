"""The queries of docs/guide/query.md."""

import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "query.md"
_BLOCK = re.compile(r"\*\*(?P<title>[^*]+)\*\*.*?```sql\n(?P<sql>.*?)```", re.DOTALL)


def documented_queries() -> Iterator[tuple[str, str]]:
    """Title and SQL of each."""
    for match in _BLOCK.finditer(PAGE.read_text()):
        yield match["title"], match["sql"]
