"""Shards have the same digest whoever makes them: engines, workers, kills, and an object store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def job(name: str, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    """Run a job as its user would; what it printed last."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=_env(env), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return (done.stdout.splitlines() or [""])[-1]


def _env(extra: dict[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(extra or {})}


def generate(url: str, count: int = 600, env: dict[str, str] | None = None) -> None:
    job("generate", "--out", url, "--recipe", "render", "--count", str(count), "--engine", "local", env=env)


def digest(url: str, env: dict[str, str] | None = None) -> str:
    """`verify`'s."""
    found = json.loads(job("verify", url, "--json", env=env))
    assert found["ok"], found["problems"]
    return str(found["digest"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A generated run without shards, and the digest once the local engine has made them in a copy."""
    there = tmp_path_factory.mktemp("engines")
    generate(str(there / "run"))
    subprocess.run(["cp", "-r", there / "run", there / "local"], check=True)
    job("shards", str(there / "local"), "--engine", "local")
    return there / "run", digest(str(there / "local"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ray_gives_the_digest_of_one_process(reference: tuple[Path, str], tmp_path: Path, workers: int) -> None:
    run, wanted = reference
    subprocess.run(["cp", "-r", run, tmp_path / "run"], check=True)
    job("shards", str(tmp_path / "run"), "--engine", "ray", "--workers", str(workers))
    assert digest(str(tmp_path / "run")) == wanted


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_killed_again_and_again_it_resumes_to_the_same_digest(
    reference: tuple[Path, str], tmp_path: Path, engine: str
) -> None:
    run, wanted = reference
    there = tmp_path / "run"
    subprocess.run(["cp", "-r", run, there], check=True)
    marks = ("rounds/001-signatures/round.json", "keep.parquet", "shards/receipts")
    for mark in marks:
        command = [sys.executable, str(ROOT / "jobs/shards.py"), str(there), "--engine", engine]
        child = subprocess.Popen(command, cwd=ROOT, env=_env(), start_new_session=True, stderr=subprocess.DEVNULL)
        while child.poll() is None and not (there / mark).exists():
            time.sleep(0.01)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    job("shards", str(there), "--engine", engine)
    assert digest(str(there)) == wanted


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """A server on loopback that speaks S3, with a bucket `runs`; the environment to reach it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    env = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="runs")
        yield env
    server.stop()


def test_every_command_works_on_an_object_store_and_gives_the_same_digest(
    reference: tuple[Path, str], bucket: dict[str, str], tmp_path: Path
) -> None:
    _, wanted = reference
    url = "s3://runs/same"
    generate(url, env=bucket)
    generate(url, env=bucket)  # again: all is done
    job("shards", url, "--engine", "local", env=bucket)
    assert digest(url, bucket) == wanted
    job("shards", url, "--engine", "local", env=bucket)
    assert digest(url, bucket) == wanted
    rows = json.loads(job("query", url, "SELECT key, kept FROM samples ORDER BY key", "--format", "json", env=bucket))
    assert len(rows) == 600
    why = json.loads(job("query", url, "why", rows[0]["key"], "--format", "json", env=bucket))
    assert why["sample"]["tar"].startswith("rounds/000-generate/raw/")
    job("query", url, "regenerate", rows[0]["key"], env=bucket)
    sql = "SELECT key FROM samples ORDER BY key LIMIT 2"
    job("query", url, sql, "--images", str(tmp_path / "images"), "--reveal", env=bucket)
    assert len(list((tmp_path / "images").iterdir())) == 2
    (tmp_path / "keys.txt").write_text(rows[0]["key"])
    revoked = json.loads(job("revoke", url, "--keys", str(tmp_path / "keys.txt"), "--json", env=bucket))
    assert (revoked["revoked"], revoked["units"], revoked["shards"]) == (1, 2, 1)
    assert digest(url, bucket) != wanted
    job("verify", "s3://runs/nothing", code=2, env=bucket)


def test_ray_workers_commit_to_an_object_store(reference: tuple[Path, str], bucket: dict[str, str]) -> None:
    _, wanted = reference
    url = "s3://runs/ray"
    generate(url, env=bucket)
    job("shards", url, "--engine", "ray", "--workers", "2", env=bucket)
    assert digest(url, bucket) == wanted


def test_a_conditional_put_lets_one_writer_win(bucket: dict[str, str]) -> None:
    from pipeline.storage.object_store import ObjectStore
    from pipeline.storage.store import StoreError

    store = ObjectStore("s3://runs/store")
    assert store.create("round.json", b"first") and not store.create("round.json", b"second")
    assert store.read("round.json") == b"first" and store.read("nothing") is None and store.size("nothing") is None
    assert store.read_range("round.json", 1, 3) == b"irs"
    assert store.read_ranges([("round.json", 0, 2), ("round.json", 3, 2)]) == [b"fi", b"st"]
    with pytest.raises(StoreError, match="cut short"):
        store.read_range("round.json", 3, 9)
    with store.open("round.json") as file:
        assert file.seek(-3, 2) == 2 and file.read() == b"rst"
    with pytest.raises(StoreError, match="no such object"):
        store.open("nothing")
    assert list(store.names("")) == ["round.json"]
    store.delete("round.json")
    store.delete("round.json")
    assert list(store.names("")) == []


def test_a_bucket_that_is_not_there_gives_one_clear_error(bucket: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "jobs/shards.py"), "s3://absent/run", "--engine", "local"]
    done = subprocess.run(command, cwd=ROOT, env=_env(bucket), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: s3://absent/run") and done.stderr.count("\n") == 1
