"""A question to a run changes nothing and sees nothing but the run, whatever a stranger writes into it."""

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from jobs import query
from pipeline.catalogue.duck import Connection
from pipeline.catalogue.question import asked, confined
from pipeline.catalogue.views import refresh
from pipeline.storage.open_store import open_store
from schemas.errors import InputError
from schemas.run import RunConfig
from tests.support.commands import call
from tests.support.planted import pair, plant, variant

Ask = Callable[..., int]
Answered = Callable[..., pa.Table]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    folder = tmp_path_factory.mktemp("confined")
    pairs = [pair(number) for number in range(5)]
    store = plant(str(folder / "run"), [*pairs, variant(pairs[0])], folder / "files")
    store.write("run.json", RunConfig(out="run", recipe="render", count=5).to_json({}))
    refresh(store)
    return folder / "run"


@pytest.fixture(scope="module")
def run(planted: Path) -> Path:
    """The run with a secret beside it, which links inside of it lead to."""
    beside = planted.parent
    (beside / "secret.csv").write_text("word\nsecret\n")
    duckdb.sql(f"COPY (SELECT 'secret' AS word) TO '{beside}/secret.parquet'")
    (beside / "mine").symlink_to(planted)
    (planted / "link.parquet").symlink_to(beside / "secret.parquet")
    (planted / "rounds" / "linked").symlink_to(beside)
    return planted


@pytest.fixture(scope="module")
def con(run: Path) -> Iterator[Connection]:
    """One connection for everything that is tried."""
    with confined(open_store(str(run))) as opened:
        yield opened


@pytest.fixture
def answer(con: Connection, run: Path, monkeypatch: pytest.MonkeyPatch) -> Answered:
    """Ask in the folder that holds the run."""
    monkeypatch.chdir(run.parent)

    def call(sql: str, timeout: float = 60) -> pa.Table:
        with asked(con, sql, timeout) as rows:
            return rows.read_all()

    return call


@pytest.fixture
def ask(run: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Call jobs/query.py on the run, in its folder's parent."""
    monkeypatch.chdir(run.parent)

    return partial(call, query, run)


def everything(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


WRITING = [
    "COPY (SELECT 1) TO 'out.csv'",
    "COPY samples TO 'run/labels.parquet'",
    "WITH x AS (COPY (SELECT 1) TO 'run/labels.parquet') SELECT * FROM x",
    "WITH y AS (WITH x AS (COPY (SELECT 1) TO 'run/labels.parquet') FROM x) FROM y",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'out.csv'",
    "/* EXPLAIN */ EXPLAIN -- a\n ANALYZE WITH x AS (COPY (SELECT 1) TO 'out.csv') FROM x",
    "FROM query('COPY (SELECT 1) TO ''out.csv''')",
    "FROM query('WITH x AS (COPY (SELECT 1) TO ''out.csv'') FROM x')",
    "ATTACH 'other.duckdb' AS o; CREATE TABLE o.t AS SELECT 1",
    "EXPORT DATABASE 'exported'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW samples AS SELECT 1",
    "WITH x AS (DELETE FROM samples RETURNING *) FROM x",
    "DROP VIEW samples",
    "INSTALL httpfs",
    "PRAGMA database_list",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "SET VARIABLE run = '/'",
    "CALL pragma_version()",
    "CHECKPOINT",
    "PREPARE p AS SELECT 1",
    "SELECT 1; DROP VIEW samples; SELECT 2",
    "PIVOT samples ON style USING count(*)",
]


@pytest.mark.parametrize("sql", WRITING)
def test_what_writes_is_refused_and_nothing_is_written(run: Path, answer: Answered, sql: str) -> None:
    before = everything(run.parent)
    with pytest.raises(InputError) as refused:
        answer(sql)
    assert "one statement that reads" in str(refused.value) or "query(" in sql
    assert everything(run.parent) == before


@pytest.mark.parametrize("sql", ["", " ", ";", ";;", "-- x", "/* x */", "EXPLAIN", "EXPLAIN ;"])
def test_an_empty_question_is_one_clear_error(answer: Answered, sql: str) -> None:
    with pytest.raises(InputError, match="question is empty"):
        answer(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM '{outside}/secret.parquet'",
        "FROM 'run/../secret.parquet'",
        "FROM '{outside}/run/../secret.parquet'",
        "FROM read_parquet('file://{outside}/secret.parquet')",
        "FROM read_csv('{outside}/secret.csv')",
        "FROM read_text('{outside}/secret.csv')",
        "FROM read_blob('/etc/passwd')",
        "FROM glob('{outside}/*')",
        "FROM sniff_csv('{outside}/secret.csv')",
        "FROM query('FROM ''{outside}/secret.parquet''')",
        "FROM 'run/link.parquet'",
        "FROM 'run/*.parquet'",
        "FROM read_csv('run/rounds/linked/secret.csv')",
        "FROM read_text('/proc/self/environ')",
        "FROM 'https://localhost/secret.parquet'",
        "FROM 's3://somebody/secret.parquet'",
        "SELECT getenv('HOME')",
        "FROM given",
    ],
)
def test_what_is_not_the_runs_is_not_read(run: Path, answer: Answered, sql: str) -> None:
    with pytest.raises(InputError) as refused:
        answer(sql.format(outside=run.parent))
    assert len(str(refused.value)) < 2_500


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM samples",
        "FROM samples LIMIT 1;",
        "-- how many?\nWITH a AS (FROM samples) SELECT count(*) FROM a -- all",
        "VALUES (1)",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) FROM n",
        "DESCRIBE samples",
        "SHOW TABLES",
        "SUMMARIZE samples",
        "EXPLAIN SELECT * FROM samples",
        "/* why */ explain FROM samples",
        "PIVOT samples ON style IN ('plain', 'neon') USING count(*)",
        "FROM read_parquet('run/rounds/*/raw/*.parquet')",
        "FROM glob('{run}/**')",
        "FROM '{link}/rounds/000-planted/raw/*.parquet'",
    ],
)
def test_what_reads_the_run_is_answered(run: Path, answer: Answered, sql: str) -> None:
    assert answer(sql.format(run=run, link=run.parent / "mine")).num_rows > 0


@pytest.mark.parametrize("sql", ["", "COPY samples TO 'run/labels.parquet'", "FROM read_text('secret.csv')"])
def test_the_command_has_the_same_door(ask: Ask, run: Path, sql: str) -> None:
    before = everything(run)
    with pytest.raises(InputError, match="one statement that reads"):
        ask(sql)
    assert everything(run) == before and ask("FROM samples LIMIT 1") == 0


def test_a_run_is_asked_through_a_link_to_it(run: Path) -> None:
    with confined(open_store(str(run.parent / "mine"))) as con, asked(con, "SELECT count(*) AS n FROM samples") as rows:
        assert rows.read_all()["n"].to_pylist() == [6]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(100000000000) a, range(100000) b",
        "SELECT range FROM range(100000000000) WHERE range < 0",
    ],
)
def test_a_question_ends_when_its_time_is_over(answer: Answered, sql: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match=r"no answer within 0\.5 s"):
        answer(sql, 0.5)
    assert time.monotonic() - start < 10


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on loopback that speaks S3, with a bucket `runs` that holds somebody else's file too."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    boto3.client("s3").create_bucket(Bucket="runs")
    boto3.client("s3").put_object(Bucket="runs", Key="mine2/secret.csv", Body=b"word\nsecret\n")
    yield "s3://runs/mine"
    server.stop()


def test_a_run_on_an_object_store_is_asked_and_nothing_beside_it(bucket: str, run: Path) -> None:
    store = open_store(bucket)
    for path in run.rglob("*"):
        if path.is_file() and not path.is_symlink():
            store.write_file(str(path.relative_to(run)), path)
    with confined(store) as con:
        for sql in (
            "SELECT count(*) AS n FROM samples",
            f"SELECT count(*) AS n FROM '{bucket}/rounds/*/raw/*.parquet'",
        ):
            with asked(con, sql) as rows:
                assert rows.read_all()["n"].to_pylist() == [6]
        for beside in ("s3://runs/mine2/secret.csv", "s3://runs/*", "s3://runs/mine*/*", "/etc/passwd", str(run)):
            with pytest.raises(InputError), asked(con, f"FROM read_text('{beside}')") as rows:
                rows.read_all()
        # `..` is no way up among the keys of an object store: no key matches it.
        with asked(con, f"FROM read_text('{bucket}/../mine2/secret.csv')") as rows:
            assert rows.read_all().num_rows == 0
        with pytest.raises(InputError, match="No files found"), asked(con, f"FROM '{bucket}/none.parquet'"):
            pass
