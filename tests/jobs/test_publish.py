"""A release holds what the run keeps and nothing else, opens with other people's libraries, and is on the run's record."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from jobs import publish, revoke
from pipeline.catalogue.views import refresh
from pipeline.release.checksums import check_checksums
from pipeline.release.hub import HubUpload
from pipeline.release.recipe_parts import cut_paths
from pipeline.rounds.audit_log import entries, name_of
from pipeline.rounds.ledger import read_ledger
from pipeline.storage.local_store import LocalStore
from pipeline.storage.open_store import open_store
from schemas.errors import HazmatError, InputError
from stages.signature.embedding import Embedding
from tests.support.commands import call
from tests.support.labelled_run import labelled_run
from tests.support.released import released, restricted, small_run

INTEGRATIONS = Path(sys.prefix) / "integrations"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pairs."""
    return small_run(tmp_path_factory.mktemp("published"))


def rows(release: Path) -> list[dict[str, object]]:
    return [row for file in sorted((release / "data").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def front_matter(release: Path) -> dict[str, object]:
    found = yaml.safe_load((release / "README.md").read_text().split("---\n")[1])
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_metadata_holds_what_shards_keep_and_no_picture(tmp_path: Path) -> None:
    store = labelled_run()
    release = released(store.url, "metadata", tmp_path / "m")
    refresh(store)
    wanted = duckdb.sql(
        f"SELECT split, count(*) FROM '{store.url}/catalogue/samples.parquet' WHERE kept GROUP BY split"
    )
    counts = {"validation" if split == "val" else split: count for split, count in wanted.fetchall()}
    found = rows(release)
    assert {split: sum(row["split"] == split for row in found) for split in counts} == counts
    assert {path.suffix for path in release.rglob("*") if path.is_file()} == {".md", ".json", ".parquet", ""}
    assert "image" not in found[0] and found[0]["pair_label"] in ("safe", "unsafe", "na", "unlabelled")
    card = front_matter(release)
    assert card["license"] == "apache-2.0"
    assert {part["split"] for part in card["configs"][0]["data_files"]} == set(counts)  # type: ignore[index]
    assert "| labeller | `scene_truth` | `Apache-2.0` |" in (release / "README.md").read_text()


@pytest.mark.slow
def test_embeddings_are_of_unit_length_and_name_their_maker(run: Path, tmp_path: Path) -> None:
    found = rows(released(run, "embeddings", tmp_path / "e"))
    assert len(found) == 12 and len({str(row["embedding"]) for row in found}) == 12
    assert {row["embedding_model"] for row in found} == {Embedding().revision()}
    for row in found:
        assert sum(value * value for value in row["embedding"]) == pytest.approx(1, abs=0.01)  # type: ignore[attr-defined]


def test_pictures_are_the_committed_bytes_in_rows_and_files(run: Path, tmp_path: Path) -> None:
    release = released(run, "pictures", tmp_path / "p", "--image-folder", "--contact", "safety@example.org")
    found = rows(release)
    assert len(found) == 12
    for row in found:
        image = row["image"]
        assert sha256(image["bytes"]).hexdigest() == row["image_sha256"]  # type: ignore[index]
    lines = (release / "images" / "train" / "metadata.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert (
            sha256((release / "images" / "train" / line["file_name"]).read_bytes()).hexdigest() == line["image_sha256"]
        )
    text = (release / "README.md").read_text()
    assert len(lines) == 12 and "safety@example.org" in text and "extra_gated_fields" in front_matter(release)


def test_a_release_is_on_record_and_its_checksums_name_a_change(run: Path, tmp_path: Path) -> None:
    release = released(run, "metadata", tmp_path / "m")
    digest = check_checksums(release)
    store = LocalStore(run)
    *_, entry = entries(store)
    assert entry.action == "publish" and entry.details["digest"] == digest
    assert name_of(entry.number) in (read_ledger(store) or pytest.fail("no ledger")).files
    data = next((release / "data").glob("*.parquet"))
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    (release / "stowaway.txt").write_text("hello")
    with pytest.raises(HazmatError, match=r"stowaway.txt is not listed; data/train-.* has changed"):
        check_checksums(release)


def test_files_and_row_groups_are_cut_by_size_and_no_row_is_lost(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.release.tables.PICTURE_ROWS", 5)
    monkeypatch.setattr("pipeline.release.tables.FILE_BYTES", 30_000)
    release = released(run, "pictures", tmp_path / "p")
    files = sorted((release / "data").glob("*.parquet"))
    assert [file.name for file in files] == [f"train-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))]
    footers = [pq.read_metadata(file) for file in files]
    groups = [footer.row_group(n).num_rows for footer in footers for n in range(footer.num_row_groups)]
    assert len(files) > 1 and groups == [5, 5, 2]
    assert len({row["key"] for row in rows(release)}) == 12


def test_what_was_revoked_is_not_published(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    [key, *_] = [str(row["key"]) for row in rows(released(run, "metadata", tmp_path / "before"))]
    (tmp_path / "keys.txt").write_text(f"{key}\n")
    assert call(revoke, run, "--keys", tmp_path / "keys.txt") == 0
    for tier in ("metadata", "pictures", "recipe"):
        release = released(run, tier, tmp_path / tier)
        assert key not in [row["key"] for row in rows(release)] and len(rows(release)) == 11
        assert not [path for path in release.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_restricted_run_gives_no_picture_and_no_word_unless_told(run: Path, tmp_path: Path) -> None:
    secret = restricted(run, tmp_path / "secret")
    with pytest.raises(InputError, match="--restricted publishes them all the same"):
        call(publish, secret, "--tier", "pictures", "--out", tmp_path / "p")
    prompts = [str(row["prompt"]) for row in rows(released(run, "metadata", tmp_path / "open"))]
    for tier in ("metadata", "recipe"):
        release = released(secret, tier, tmp_path / tier)
        assert "prompt" not in rows(release)[0]
        held = b"".join(path.read_bytes() for path in release.rglob("*") if path.is_file())
        held += "".join(str(pq.read_table(path).to_pylist()) for path in release.rglob("*.parquet")).encode()
        assert not [prompt for prompt in prompts if prompt.encode() in held]
        assert release.stat().st_mode & 0o077 == 0 and front_matter(release)["viewer"] is False
    told = released(secret, "pictures", tmp_path / "told", "--restricted")
    assert rows(told)[0]["prompt"] in prompts


def test_no_path_of_the_machine_is_given_away(run: Path) -> None:
    assert cut_paths("'/home/me/weights/sd15'") == "'sd15'"
    assert cut_paths(["/a/b.safetensors:0.8", "owner/name", "assets/world/t2i", "2/255"]) == [
        "b.safetensors:0.8",
        "owner/name",
        "assets/world/t2i",
        "2/255",
    ]


def test_push_without_a_token_says_what_it_would_do(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nobody"))
    monkeypatch.setattr("pipeline.release.hub.token_is_there", lambda: False)
    assert call(publish, run, "--tier", "recipe", "--out", tmp_path / "r", "--push", "me/mine") == 0
    assert "it would be" in (said := capsys.readouterr().out) and "to the private dataset me/mine" in said
    with pytest.raises(InputError, match="expected OWNER/NAME"):
        call(publish, run, "--tier", "recipe", "--out", tmp_path / "no", "--push", "not a name")


def test_a_push_that_the_hub_does_not_take_leaves_the_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = released(run, "recipe", tmp_path / "r")
    monkeypatch.setenv("HF_TOKEN", "none")
    with pytest.raises(HazmatError, match=r"--push me/mine: \w+: .* the same command tries again"):
        HubUpload(release, "me/mine", gated=True).push()
    check_checksums(release)


SCRIPT = """
import json, sys
import datasets, mlcroissant
from hashlib import sha256

def pixels(image):
    return sha256(image.convert("RGB").tobytes()).hexdigest()

cache, *folders = sys.argv[1:]
for folder in folders:
    described = mlcroissant.Dataset(f"{folder}/croissant.json")
    records = list(described.records("samples"))
    loaded = datasets.load_dataset(folder, cache_dir=cache)
    print(json.dumps({
        "errors": sorted(described.metadata.ctx.issues.errors), "warnings": sorted(described.metadata.ctx.issues.warnings),
        "conforms": str(described.metadata.conforms_to), "keys": sorted(r["samples/key"].decode() for r in records),
        "pixels": {r["samples/key"].decode(): pixels(r["samples/image"]) for r in records if "samples/image" in r},
        "datasets": {split: len(part) for split, part in loaded.items()},
        "same": {row["key"]: pixels(row["image"]) for part in loaded.values() for row in part if "image" in row},
    }))
"""


@pytest.mark.slow
def test_croissant_and_datasets_load_what_duckdb_counts(tmp_path: Path) -> None:
    if not (INTEGRATIONS / "mlcroissant").is_dir():
        pytest.skip("mlcroissant is not installed; make setup puts it into .venv/integrations")
    store = open_store(labelled_run().url)
    tiers = ("embeddings", "pictures", "recipe")
    releases = [released(store.url, tier, tmp_path / tier) for tier in tiers]
    script = (
        f"import sys; sys.path.append({str(INTEGRATIONS)!r})\n{SCRIPT}"  # behind ours: no version of .venv is hidden
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cache"), *map(str, releases)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    counted = f"SELECT split, count(*) FROM '{store.url}/catalogue/samples.parquet' WHERE kept GROUP BY split"
    counts = {"validation" if split == "val" else split: count for split, count in duckdb.sql(counted).fetchall()}
    for tier, release, line in zip(tiers, releases, ran.stdout.splitlines()[-3:], strict=True):
        found = json.loads(line)
        assert found["errors"] == found["warnings"] == [], tier
        assert "1.1" in found["conforms"].replace("_", "."), tier
        assert found["datasets"] == counts, tier
        assert found["keys"] == sorted(str(row["key"]) for row in rows(release)), tier
        assert len(found["pixels"]) == (sum(counts.values()) if tier == "pictures" else 0)
        assert found["pixels"] == found["same"], tier
