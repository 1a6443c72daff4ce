"""`jobs/moderate.py --pairs`: pairs of one's own without labels, each judged, unreadable with its reason, or counted."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.moderation.pairs import Columns, pairs_of
from classifiers.moderation.sources import Item
from classifiers.moderation.texts_beside import WITHOUT_PICTURE, WITHOUT_PROMPT
from classifiers.saved import load
from jobs import moderate
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.render import Render
from tests.support.commands import call, status
from tests.support.labelled_run import labelled_run, trained_model

PROMPTS = ("a dagger ready for a fight", "un couteau, « prêt »", "a red apple")


def drawn(folder: Path, *names: str) -> None:
    """LabelledPictures of the small run."""
    some = LabelledPictures.of(labelled_run(), "train")
    for row, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(some.pixels(row)).save(folder / name)


def found(where: Path, **columns: str) -> dict[str, str]:
    """Of each item its prompt, or why there is none."""
    return {item.key: item.prompt or f"! {item.problem}" for item in pairs_of(str(where), Columns(**columns)).items}


def judged(
    capsys: pytest.CaptureFixture[str], out: Path, *arguments: object
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary, and every row of the answers."""
    classifier = trained_model("late_fusion").folder
    call(moderate, "--classifier", classifier, "--out", out, "--json", *arguments)
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return summary, [row for part in sorted(out.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_of_prompts_and_paths_is_judged_as_predict_judges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    drawn(tmp_path, "a.png", "below/b.png", "c.webp")
    places = ("a.png", "below/b.png", str(tmp_path / "c.webp"))
    table = tmp_path / f"mine.{kind}"
    if kind == "csv":
        table.write_text("caption,image\n" + "".join(f'"{p}",{f}\n' for p, f in zip(PROMPTS, places, strict=True)))
    elif kind == "jsonl":
        table.write_text(
            "".join(json.dumps({"prompt": p, "path": f}) + "\n" for p, f in zip(PROMPTS, places, strict=True))
        )
    else:
        pq.write_table(pa.table({"text": PROMPTS, "file_name": places}), table)
    summary, rows = judged(capsys, tmp_path / "out", "--pairs", table)
    expected = trained_model("late_fusion").load().predict(PROMPTS, [str(tmp_path / name) for name in places])
    assert summary["pictures"] == 3 and summary["unreadable"] == 0
    assert [row["score"] for row in rows] == pytest.approx(expected.unsafe["pair"].tolist(), abs=1e-4)
    read = [n for n, row in enumerate(rows) if not row["key"].endswith("below/b.png")]
    assert [rows[n]["safety"] == "unsafe" for n in read] == expected.flagged[read].tolist()
    (unread,) = [row for row in rows if row["key"].endswith("below/b.png")]
    assert unread["safety"] == "unsafe" or (unread["safety"] == "unsure" and "'couteau'" in unread["reason"])
    assert rows[1]["key"].endswith("below/b.png") and [row["truncated"] for row in rows] == [False] * 3


def test_unknown_words_alone_make_nothing_unsafe_and_hide_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = (
        "une pomme rouge",
        "ein stiller See im Nebel",
        "un camino entre los pinos",
        "tre vecchie sedie",
        "a quokka on a swing",
    )
    rows = [(text, "a.png") for text in foreign] + [
        ("a bomb near a quokka", "b.png"),
        ("ein grenade im Nebel", "b.png"),
    ]
    picture_of("an apple on a red background", tmp_path / "a.png")
    picture_of("a bomb on a red background", tmp_path / "b.png")
    (tmp_path / "mine.csv").write_text("prompt,image\n" + "".join(f'"{text}",{name}\n' for text, name in rows))
    call(
        moderate,
        "--classifier",
        "embedded:cascade",
        "--pairs",
        tmp_path / "mine.csv",
        "--out",
        tmp_path / "out",
        "--json",
    )
    said = [
        row for part in sorted((tmp_path / "out").glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()
    ]
    assert {row["safety"] for row in said[: len(foreign)]} == {"unsure"}
    assert all("words that the classifier does not know" in row["reason"] for row in said[: len(foreign)])
    assert any(row["score"] > load("assets/world/defence/cascade").threshold for row in said[: len(foreign)]), (
        "none was flagged"
    )
    assert [row["safety"] for row in said[len(foreign) :]] == ["unsafe", "unsafe"]


def picture_of(prompt: str, file: Path) -> None:
    """What the renderer draws of it."""
    step = Render().open()
    (sample,) = step([Sample.from_prompt(Prompt(prompt, prompt), 0)])
    Image.fromarray(sample.pixels).save(file)


def test_a_row_that_is_no_pair_has_its_reason_and_hides_no_other(tmp_path: Path) -> None:
    drawn(tmp_path / "in", "a.png")
    (tmp_path / "out.png").write_bytes((tmp_path / "in/a.png").read_bytes())
    (tmp_path / "in/notes.md").write_text("no picture")
    places = [
        "a.png",
        "gone.png",
        "../out.png",
        "/etc/hosts",
        "https://example.org/a.png",
        "notes.md",
        "",
        "a.png",
        "a.png",
    ]
    prompts = ["fine", "x", "x", "x", "x", "x", "x", "", "again"]
    pq.write_table(pa.table({"prompt": prompts, "picture": places}), tmp_path / "in/t.parquet")
    said = list(found(tmp_path / "in/t.parquet").values())
    assert said[0] == "fine" and said[8] == "again"
    reasons = ("no such file", "outside", "outside", "address", "no picture by", "is empty", "prompt is empty")
    for text, match in zip(said[1:8], reasons, strict=True):
        assert text.startswith("! ") and match in text, (text, match)


def test_a_latin_1_table_and_a_broken_row_are_named(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png")
    table = tmp_path / "t.csv"
    table.write_bytes("prompt,picture\nune pomme,a.png\nun bébé tigre,a.png\none,two,three\n".encode("latin-1"))
    first, second, third = found(table).values()
    assert first == "une pomme" and "WINDOWS-1252" in second and "malformed" in third


def test_a_folder_and_tars_take_the_text_of_the_same_name(tmp_path: Path) -> None:
    drawn(tmp_path, "one.png", "below/two.jpg", "alone.png", "inside.png", "t/000.jpg")
    (tmp_path / "one.txt").write_text(PROMPTS[0])
    (tmp_path / "below/two.txt").write_bytes("\ufeff".encode() + PROMPTS[1].encode() + b"\n")
    (tmp_path / "lone.txt").write_text("no picture")
    (tmp_path / "t/000.txt").write_text(PROMPTS[2])
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in ("000.jpg", "000.txt"):
            tar.add(tmp_path / "t" / name, name)
        tar.add(tmp_path / "inside.png", "001.seg.png")
        tar.add(tmp_path / "one.txt", "001.txt")
    source = pairs_of(str(tmp_path))
    said = {item.key: item.prompt or f"! {item.problem}" for item in source.items}
    assert said == {
        "one.png": PROMPTS[0], "below/two.jpg": PROMPTS[1], "t/000.jpg": PROMPTS[2], "shard.tar/000.jpg": PROMPTS[2],
        "shard.tar/001.seg.png": PROMPTS[0], "alone.png": f"! {WITHOUT_PROMPT}", "inside.png": f"! {WITHOUT_PROMPT}",
    }  # fmt: skip
    assert [(each.key, each.reason) for each in source.passed] == [("lone.txt", WITHOUT_PICTURE)]
    alone = pairs_of(str(tmp_path / "shard.tar"))
    assert [item.prompt for item in alone.items] == [PROMPTS[2], PROMPTS[0]] and not alone.passed


def test_a_run_is_judged_by_its_own_prompts() -> None:
    items = pairs_of(labelled_run().url).items
    assert len(items) == 160 and all(isinstance(item, Item) and item.prompt for item in items)


def test_another_prompt_is_another_question_and_long_ones_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn(tmp_path, "a.png")
    (tmp_path / "a.txt").write_text("a dagger " * 60)
    summary, rows = judged(capsys, tmp_path / "out", "--pairs", tmp_path)
    assert summary["truncated"] == 1 and rows[0]["truncated"] is True
    before = pairs_of(str(tmp_path)).digest()
    (tmp_path / "a.txt").write_text("a dragon " * 60)
    assert pairs_of(str(tmp_path)).digest() != before
    with pytest.raises(InputError, match="another question"):
        judged(capsys, tmp_path / "out", "--pairs", tmp_path)


def test_bad_use_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("words,where\nx,a.png\n")
    model = ("--classifier", trained_model("late_fusion").folder)
    for arguments, match in (
        ((), "give IMAGES"),
        ((tmp_path, "--pairs", table, *model), "give IMAGES"),
        ((tmp_path, "--column", "x"), "--pairs gives"),
        (("--pairs", table, *model), "name it by --column"),
        (("--pairs", table, "--column", "words", "--picture-column", "where", *model), "no pair that can be read, of 1"),
        (("--pairs", tmp_path / "gone", *model), "no such file"),
        ((tmp_path, *model), "--pairs FILE"),
    ):  # fmt: skip
        assert status(moderate, *arguments) == 2
        said = capsys.readouterr().err
        assert match in said and len(said.splitlines()) <= 2, (arguments, said)
