"""The one door for a person's SQL: a single statement that reads the run, and nothing else on the machine."""

import json
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.catalogue.duck import Connection, quoted, reader, scratch_database
from pipeline.catalogue.views import VIEWS, open_views
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError

TIMEOUT = 300.0  # seconds; a count over 1 M samples takes one
LONGEST_TIMEOUT = 604_800.0  # seconds; a week is within what timers take
SPILL = "20GB"  # on the temporary disk, beyond duck.MEMORY: a runaway join must not fill it
LONGEST = 1_500  # characters of DuckDB's words that are shown
READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""Query nodes of DuckDB's syntax tree that only read. A CTE may also hold COPY, INSERT, UPDATE and DELETE, each with its node."""
EXPLAIN = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:(?!/\*|\*/).)*\*/)*EXPLAIN\b", re.IGNORECASE | re.DOTALL)
ALLOWED = (
    "A question is one statement that reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN. "
    "It sees the run's views and files and changes nothing; --write FILE writes its answer."
)


@contextmanager
def confined(store: Store, keys: Collection[str] | None = None) -> Iterator[Connection]:
    """A connection with the run's views open that can read no file but the run's, and whose settings can't be changed.

    Links out of the run are not followed. What memory can't hold is spilled to a bounded temporary file. `keys`, if given, are a
    table of that name.
    """
    local = not store.url.startswith(OBJECT_SCHEMES)
    root = str(Path(store.url).resolve()) if local else store.url
    with scratch_database() as con:
        con.execute(f"SET max_temp_directory_size = '{SPILL}'")
        con.execute("SET preserve_insertion_order = true")  # LIMIT without ORDER BY gives the same rows every time
        con.execute("SET TimeZone = 'UTC'")
        open_views(con, store)
        if keys is not None:
            con.register("listed", pa.table({"key": pa.array(sorted(keys), pa.string())}))
            con.execute("CREATE TABLE keys AS SELECT key FROM listed")
            con.unregister("listed")
        con.execute("SET python_enable_replacements = false")  # a table name is never one of our Python variables
        con.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        con.execute(f"SET allowed_directories = [{quoted(root)}]")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        yield con


def checked(con: Connection, sql: str) -> str:
    """The statement to run, if it may. Raises InputError if there is none, more than one, or one that does not only read."""
    explained = EXPLAIN.match(sql)
    body = sql[explained.end() :] if explained else sql
    try:
        statements = con.extract_statements(body)
    except duckdb.ParserException:
        if explained and con.extract_statements(sql):
            raise InputError(f"EXPLAIN shows a plan here and runs nothing: no ANALYZE, no options. {ALLOWED}") from None
        raise
    if not statements:
        raise InputError(f"the question is empty. {ALLOWED}")
    if len(statements) > 1:
        raise InputError(f"the question has {len(statements)} statements. {ALLOWED}")
    [statement] = statements
    kind = statement.type.name
    if kind == "MULTI":
        raise InputError(f"PIVOT needs its values listed here: PIVOT … ON column IN (value, …) USING …. {ALLOWED}")
    if kind != "SELECT":
        raise InputError(f"{'EXPLAIN of ' if explained else ''}{kind} is not allowed. {ALLOWED}")
    [(text,)] = con.execute("SELECT json_serialize_sql(?)::VARCHAR", [statement.query]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise InputError(f"{tree['error_message']}\n{ALLOWED}")
    writing = _nodes(tree["statements"]) - READING_NODES
    if writing:
        names = ", ".join(sorted(name.split("_")[0] for name in writing))
        raise InputError(f"{names} inside a question is not allowed. {ALLOWED}")
    return f"EXPLAIN {statement.query}" if explained else str(statement.query)


def _nodes(tree: object) -> set[str]:
    """The kinds of all query nodes in a syntax tree. The parser refuses trees that are deeper than 1000."""
    types: set[str] = set()
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str) and kind.endswith("_NODE"):
                types.add(kind)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return types


@contextmanager
def asked(con: Connection, sql: str, timeout: float = TIMEOUT) -> Iterator[pa.RecordBatchReader]:
    """The answer to a person's statement, batch by batch; `con` is `confined`'s, and `timeout` (seconds) covers the reading.

    Raises InputError for a statement that may not run, in DuckDB's own words if it is no good, and when time is over.
    """
    over = threading.Event()

    def stop() -> None:
        over.set()
        con.interrupt()

    timer = threading.Timer(timeout, stop)
    timer.daemon = True
    timer.start()
    untrained = False
    try:
        answer = reader(con.sql(checked(con, sql)))
        untrained = True
        yield answer
        if over.is_set():
            raise InputError(_late(timeout))
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if over.is_set():
            raise InputError(_late(timeout)) from error
        if untrained and isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, from whoever reads the answer; what DuckDB says through Arrow has no number
        raise InputError(_explained(error)) from error
    finally:
        timer.cancel()


def _late(timeout: float) -> str:
    return f"no answer within {timeout:g} s; ask for less, or give it longer with --timeout SECONDS"


def _explained(error: Exception) -> str:
    words = str(error).strip()
    if len(words) > LONGEST:
        words = words[:LONGEST] + " …"
    if "disabled by configuration" in words:
        return f"{words}\nA question reads the files of its own run; links out of it are not followed. {ALLOWED}"
    return f"{words}\nThe views are {', '.join(VIEWS)}."
